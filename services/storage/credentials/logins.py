"""How somebody comes in, whatever they show: passwords and proofs meet the same delays.

The rule: one try at a time for each login, across all copies, and a try that fails is counted before it is answered; so
a burst of guesses meets the delays that its own failures make.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    BadCredentials,
    InvalidAddress,
    InvalidArgument,
    NotPermitted,
    TooManyAttempts,
)
from services.mail.sasl.keys import ITERATIONS, make_salt
from services.mail.store.accounts import NO_SCOPE, Account, Quota, Scope
from services.mail.store.credentials import Proved, Salted
from services.plumbing import logs
from services.storage.accounts.spelling import canonical_address
from services.storage.accounts.statements import FIND_ACCOUNT
from services.storage.arrays import Bigints, Blobs, Texts
from services.storage.credentials import scram, statements
from services.storage.credentials.apop import Apop
from services.storage.credentials.networks import network_key
from services.storage.credentials.passwords import Passwords
from services.storage.credentials.shown import DigestShown, PasswordShown, ProofShown, Shown, TokenShown
from services.storage.credentials.tokens import Tokens
from services.storage.transaction import Database, Row, Values

log = logs.get(__name__)

# Seconds to wait after the first failure that is not free, the second, and so on.
DELAYS: Final = (2, 4, 8, 15)
FREE_FAILURES: Final = 3
FREE_FAILURES_OF_NETWORK: Final = 20
# How often, and after how many seconds again, a login's turn is asked for while another copy has it.
TURN_TRIES: Final = 40
TURN_SECONDS: Final = 0.05
MAX_PASSWORD_OCTETS: Final = 4096
# For how long a wrong password is known, and how many of them.
WRONG_SECONDS: Final = 600.0
MOST_WRONG: Final = 10_000


class Logins:
    """Checks what was shown, and makes what is kept."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        apop: Apop,
        tokens: Tokens | None = None,
        masters: Collection[str] = (),
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._apop = apop
        self._tokens = tokens
        self._masters = frozenset(map(_canonical, masters))
        self._key: bytes | None = None
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        # Locks live as long as somebody holds or waits for them.
        self._tries: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # What is kept

    async def secrets(self, address: str, password: bytes) -> Blobs:
        """Of a new password, by kind. address: canonical. Raises InvalidArgument."""
        _check_secret(password)
        return Blobs([await self._passwords.hash(password), await self.scram_keys(address, password)])

    async def set_password(self, account_id: int, password: bytes) -> None:
        """Replaces the password. Raises AccountUnknown, InvalidArgument."""
        secrets = await self.secrets(await self.address_of(account_id), password)
        values = {"account_id": account_id, "secrets": secrets}
        if not await self._database.write(statements.SET_PASSWORD, values):
            raise AccountUnknown

    async def set_apop_secret(self, account_id: int, secret: bytes | None) -> None:
        """Replaces the secret of APOP, or takes it away. Raises AccountUnknown, InvalidArgument, NotPermitted."""
        if secret is None:
            done = await self._database.write(statements.REMOVE_APOP_SECRET, {"account_id": account_id})
        else:
            if not self._apop.is_on:
                raise NotPermitted("APOP is off here: RESTANTE_APOP=true turns it on")
            _check_secret(secret)
            values = {"account_id": account_id, "secret": self._apop.seal(secret, account_id)}
            done = await self._database.write(statements.SET_APOP_SECRET, values)
        if not done:
            raise AccountUnknown

    async def address_of(self, account_id: int) -> str:
        """The account's, which its keys are salted by. Raises AccountUnknown."""
        found = await self._database.read(statements.FIND_ADDRESS, {"account_id": account_id})
        if not found:
            raise AccountUnknown
        return str(found[0][0])

    async def find_salt(self, login: str) -> Salted:
        """Of a login, known or not."""
        return Salted(make_salt(await self.key(), _canonical(login) or login), ITERATIONS)

    async def scram_keys(self, address: str, password: bytes) -> bytes:
        """Of a password, as they are kept. address: the account's."""
        salt = make_salt(await self.key(), address)
        return scram.to_secret(await self._passwords.make_keys(password, salt))

    async def key(self) -> bytes:
        """This installation's."""
        if self._key is None:
            self._key = bytes((await self._database.read(statements.FIND_KEY, {}))[0][0])
        return self._key

    # Who comes in

    async def by_password(
        self, login: str, password: bytes, network: str, scope: Scope = NO_SCOPE, authorize: str = ""
    ) -> Account:
        """Raises BadCredentials, AccountDisabled, TooManyAttempts."""
        shown = PasswordShown(self._passwords, await self.key(), password[: MAX_PASSWORD_OCTETS + 1])
        row, is_app = await self._log_in(login, network, NO_SCOPE if authorize else scope, shown)
        if not is_app and not scram.is_current(row[9]):
            # The account is older than the keys, or than their number of iterations.
            secret = await self.scram_keys(row[1], password)
            values = {"account_id": row[0], "version": row[5], "secret": secret}
            await self._database.write(statements.ADD_SCRAM_KEYS, values)
        return await self._acting(account_of(row), authorize, network)

    async def by_proof(
        self, login: str, message: bytes, proof: bytes, network: str, scope: Scope, authorize: str
    ) -> Proved:
        """Raises BadCredentials, AccountDisabled, TooManyAttempts."""
        shown = ProofShown(message, proof)
        row, _ = await self._log_in(login, network, NO_SCOPE if authorize else scope, shown)
        return Proved(await self._acting(account_of(row), authorize, network), shown.signature)

    async def by_digest(self, login: str, timestamp: bytes, digest: bytes, network: str) -> Account:
        """Raises BadCredentials, AccountDisabled, TooManyAttempts."""
        row, _ = await self._log_in(login, network, NO_SCOPE, DigestShown(self._apop, timestamp, digest))
        return account_of(row)

    async def by_token(self, login: str, token: str, network: str) -> Account:
        """Raises BadCredentials, AccountDisabled, TooManyAttempts."""
        named = ""
        if self._tokens is not None:
            with suppress(BadCredentials):
                named = await self._tokens.login_of(token)
        is_right = bool(named) and (not login or _canonical(login) == _canonical(named))
        shown = TokenShown(await self.key(), token, is_right=is_right)
        # A token that is wrong is nobody's guess: it is counted for its network alone.
        row, _ = await self._log_in(named if is_right else "", network, NO_SCOPE, shown)
        return account_of(row)

    async def _acting(self, account: Account, authorize: str, network: str) -> Account:
        """Whom it is to be: itself, or for a master anybody. Raises BadCredentials, AccountDisabled."""
        wanted = _canonical(authorize)
        if not authorize or wanted == account.address:
            return account
        if account.address not in self._masters:
            raise BadCredentials
        found = await self._database.read(FIND_ACCOUNT, {"address": wanted})
        log.warning(
            "master login", master=account.address, network=network, account_id=found[0][0] if found else None
        )
        if not found:
            raise BadCredentials
        if not account_of(found[0]).is_enabled:
            raise AccountDisabled
        return account_of(found[0])

    async def _log_in(self, login: str, network: str, scope: Scope, shown: Shown) -> tuple[Row, bool]:
        """The row of LOGIN, and whether it was an app password that fitted."""
        address = _canonical(login)
        name = address or login.lower()[:254]
        login_key = f"login {name}" if name or shown.is_of_login else ""
        keys = {
            "login_key": login_key,
            "network_key": network_key(network),
            "free": FREE_FAILURES,
            "free_network": FREE_FAILURES_OF_NETWORK,
            "delays": Bigints(DELAYS),
        }
        values = {"address": address, "kind": shown.kind, "scope": int(scope), **keys}
        async with self._tries.setdefault(login_key, asyncio.Lock()):
            return await self._try(keys, values, shown)

    async def _try(self, keys: Values, values: Values, shown: Shown) -> tuple[Row, bool]:
        row = (await self._database.read(statements.LOGIN, values))[0]
        account_id, version, secret, waits, has_failed = row[0], *row[5:9]
        if waits is not None and waits > 0:
            raise TooManyAttempts
        if has_failed:
            await self._take_turn(keys)
        app = next((each for each in _apps(row) if shown.fits_app(*each[1:3])), None)
        known_by = shown.costly(keys["login_key"], version or 0)
        is_known = self._wrong.get(known_by, 0.0) > time.monotonic()
        if app is None and (is_known or not await shown.fits(account_id or 0, version or 0, secret)):
            if known_by and not is_known:
                self._remember(known_by)
            failed = Texts(sorted({keys["login_key"], keys["network_key"]} - {""}))
            await self._database.write(
                statements.COUNT_FAILURE, {"keys": failed, "marks": Blobs(shown.marks(keys["login_key"]))}
            )
            raise BadCredentials
        if waits is not None:
            await self._database.write(statements.FORGET_FAILURES, keys)
        if not account_of(row).is_enabled:
            raise AccountDisabled
        if app is not None and app[3]:
            await self._database.write(statements.USE_APP, {"account_id": account_id, "id": app[0]})
        return row, app is not None

    def _remember(self, known_by: bytes) -> None:
        """A program that has a wrong password shows it again and again, and is to cost no more than one."""
        self._wrong[known_by] = time.monotonic() + WRONG_SECONDS
        while len(self._wrong) > MOST_WRONG:
            self._wrong.popitem(last=False)

    async def _take_turn(self, keys: Values) -> None:
        """Waits while another copy tries a password for this login. Raises TooManyAttempts."""
        for _ in range(TURN_TRIES):
            found = await self._database.write(statements.TAKE_TURN, keys)
            is_free, waits = found[0] if found else (True, 0)
            if waits > 0:
                raise TooManyAttempts
            if is_free:
                return
            await asyncio.sleep(TURN_SECONDS)
        raise TooManyAttempts


def _check_secret(secret: bytes) -> None:
    if not secret or b"\0" in secret or len(secret) > MAX_PASSWORD_OCTETS:
        raise InvalidArgument(f"a password has 1 to {MAX_PASSWORD_OCTETS} octets and no NUL")


def account_of(row: Row) -> Account:
    """An account, whose columns come first in a row."""
    return Account(row[0], row[1], row[2], Quota(row[3], row[4]))


def _apps(row: Row) -> Iterable[tuple[int, bytes, bytes, bool]]:
    """The app passwords of a row of LOGIN: number, hash, keys, and whether its use should be noted."""
    return zip(*(column or () for column in row[10:14]), strict=True)


def _canonical(login: str) -> str:
    """The login as an address; "" where it is none."""
    try:
        return canonical_address(login)
    except InvalidAddress:
        return ""
