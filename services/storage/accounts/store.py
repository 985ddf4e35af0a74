"""Accounts on PostgreSQL. The rule: an address is unique by its row in `addresses`, and nothing else says so."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from services.mail.address import parse_domain
from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    AddressInUse,
    BadCredentials,
    DomainInUse,
    DomainUnknown,
    InvalidAddress,
    InvalidArgument,
    LimitExceeded,
    NotPermitted,
    OverQuota,
    RecipientUnknown,
    RelayRefused,
    TooManyAttempts,
)
from services.mail.store.accounts import Account, AccountPage, Quota, Recipient, Usage
from services.mail.store.aliases import MOST_REACHED
from services.mail.store.mailboxes import DEFAULT_FOLDERS, INBOX
from services.storage.accounts import removal, statements
from services.storage.accounts.apop import Apop
from services.storage.accounts.passwords import Passwords
from services.storage.accounts.resolver import Resolver
from services.storage.accounts.spelling import POSTMASTER, candidates, canonical_address
from services.storage.aliases.statements import CUT, EXPAND
from services.storage.arrays import Bigints, Texts
from services.storage.transaction import DIRECTORY, Database, Row, Values

# Seconds to wait after the first failure that is not free, the second, and so on.
DELAYS: Final = (2, 4, 8, 15)
FREE_FAILURES: Final = 3
FREE_FAILURES_OF_NETWORK: Final = 20
# How often, and after how many seconds again, a login's turn is asked for while another copy has it.
TURN_TRIES: Final = 40
TURN_SECONDS: Final = 0.05
MAX_PASSWORD_OCTETS: Final = 4096
MAX_PAGE: Final = 1000
_UNBOUNDED: Final = Quota()
# What credentials.kind says.
PASSWORD: Final = 1
APOP: Final = 3
# Whether what was shown fits a credential: its account, version and secret, None where there is none.
Check: TypeAlias = Callable[[int, int, bytes | None], Awaitable[bool]]


class PostgresAccounts:
    """Implements `services.mail.store.accounts.Accounts`."""

    def __init__(self, database: Database, passwords: Passwords, apop: Apop) -> None:
        self._database = database
        self._passwords = passwords
        self._apop = apop
        self._resolver = Resolver(database)
        # Locks live as long as somebody holds or waits for them.
        self._logins: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def add_domain(self, domain: str) -> bool:
        """See the port."""
        rows = await self._database.write(statements.ADD_DOMAIN, {"domain": parse_domain(domain)})
        return bool(rows)

    async def list_domains(self) -> Sequence[str]:
        """See the port."""
        return [row[0] for row in await self._database.read(statements.LIST_DOMAINS, {})]

    async def remove_domain(self, domain: str) -> None:
        """See the port."""
        values = {"domain": parse_domain(domain)}
        rows = await self._database.transact([DIRECTORY], (statements.REMOVE_DOMAIN, values))
        is_ours, is_used, _ = rows[0][0]
        if not is_ours:
            raise DomainUnknown
        if is_used:
            raise DomainInUse(f"{values['domain']} still has accounts or aliases")

    async def add_account(self, address: str, password: bytes, quota: Quota = _UNBOUNDED) -> Account:
        """See the port."""
        canonical = canonical_address(address)
        _check_quota(quota)
        values = {
            "address": canonical,
            "domain": canonical.rpartition("@")[2],
            "secret": await self._secret(password),
            "quota_bytes": quota.bytes,
            "quota_messages": quota.messages,
            "names": Texts([INBOX, *(name for name, _ in DEFAULT_FOLDERS)]),
            "uses": Texts(["", *(use for _, use in DEFAULT_FOLDERS)]),
        }
        rows = await self._database.transact([DIRECTORY], (statements.ADD_ACCOUNT, values))
        account_id, is_ours = rows[0][0]
        if not is_ours:
            raise DomainUnknown(f"{values['domain']} is not one of our domains")
        if account_id is None:
            raise AddressInUse(f"{canonical} is taken")
        return Account(account_id, canonical, True, quota)

    async def find_account(self, address: str) -> Account:
        """See the port."""
        rows = await self._database.read(statements.FIND_ACCOUNT, {"address": canonical_address(address)})
        if not rows:
            raise AccountUnknown
        return _account(rows[0])

    async def list_accounts(self, page_size: int, page_token: str = "") -> AccountPage:
        """See the port."""
        size = min(max(page_size, 1), MAX_PAGE)
        rows = await self._database.read(statements.LIST_ACCOUNTS, {"after": page_token, "limit": size + 1})
        accounts = [_account(row) for row in rows[:size]]
        usages = [Usage(row[5], row[6], each.quota) for row, each in zip(rows, accounts, strict=False)]
        return AccountPage(accounts, accounts[-1].address if len(rows) > size else "", usages)

    async def remove_account(self, account_id: int) -> None:
        """See the port."""
        found = await self._database.read(removal.ADDRESS, {"account_id": account_id})
        if not found:
            raise AccountUnknown
        cut = {"address": found[0][0], "account_id": account_id, "targets": Texts()}
        rows = await self._database.transact(
            [DIRECTORY, account_id], (CUT, cut), (removal.REMOVE, {"account_id": account_id})
        )
        if not rows[1]:
            raise AccountUnknown

    async def set_password(self, account_id: int, password: bytes) -> None:
        """See the port."""
        secret = await self._secret(password)
        if not await self._database.write(
            statements.SET_PASSWORD, {"account_id": account_id, "secret": secret}
        ):
            raise AccountUnknown

    async def set_apop_secret(self, account_id: int, secret: bytes | None) -> None:
        """See the port."""
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

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        """See the port."""
        _check_quota(quota)
        values = {"account_id": account_id, "bytes": quota.bytes, "messages": quota.messages}
        if not await self._database.write(statements.SET_QUOTA, values):
            raise AccountUnknown

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        """See the port."""
        values = {"account_id": account_id, "is_enabled": is_enabled}
        if not await self._database.write(statements.SET_ENABLED, values):
            raise AccountUnknown

    async def authenticate(self, login: str, password: bytes, network: str) -> Account:
        """See the port."""
        check = partial(self._passwords.is_right, password[: MAX_PASSWORD_OCTETS + 1])
        return await self._log_in(login, network, PASSWORD, check)

    async def authenticate_apop(self, login: str, timestamp: bytes, digest: bytes, network: str) -> Account:
        """See the port."""
        return await self._log_in(login, network, APOP, partial(self._apop.is_right, timestamp, digest))

    async def _log_in(self, login: str, network: str, kind: int, check: Check) -> Account:
        try:
            address = canonical_address(login)
        except InvalidAddress:
            address = ""
        login_key = f"login {address or login.lower()[:254]}"
        # One at a time for each login, so that a burst of guesses meets the delays that its own failures make.
        async with self._logins.setdefault(login_key, asyncio.Lock()):
            return await self._authenticate(address, login_key, _network_key(network), kind, check)

    async def _authenticate(
        self, address: str, login_key: str, network_key: str, kind: int, check: Check
    ) -> Account:
        keys = {
            "login_key": login_key,
            "network_key": network_key,
            "free": FREE_FAILURES,
            "free_network": FREE_FAILURES_OF_NETWORK,
            "delays": Bigints(DELAYS),
        }
        row = (await self._database.read(statements.LOGIN, {"address": address, "kind": kind, **keys}))[0]
        version, secret, waits, has_failed = row[5:9]
        if waits is not None and waits > 0:
            raise TooManyAttempts
        if has_failed:
            await self._take_turn(keys)
        if not await check(row[0] or 0, version or 0, secret):
            failed = Texts(sorted({login_key, network_key} - {""}))
            await self._database.write(statements.COUNT_FAILURE, {"keys": failed})
            raise BadCredentials
        if waits is not None:
            await self._database.write(statements.FORGET_FAILURES, {"login_key": login_key})
        account = _account(row)
        if not account.is_enabled:
            raise AccountDisabled
        return account

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

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        """See the port. `postmaster` alone, or of a domain of ours, always reaches somebody."""
        canonical = POSTMASTER if address.lower() == POSTMASTER else canonical_address(address)
        row = await self._resolver.find(candidates(canonical), size)
        local, _, domain = canonical.rpartition("@")
        if row is None and POSTMASTER in (local, canonical):
            values = {"domain": domain if local else ""}
            named = await self._database.read(statements.POSTMASTER, values)
            row = await self._resolver.find([name for (name,) in named if name], size)
        if row is None:
            is_ours = not local or await self._database.read(statements.FIND_DOMAIN, {"domain": domain})
            raise RecipientUnknown if is_ours else RelayRefused
        found_address, account_id = row[:2]
        if account_id is not None:
            return _recipients([row])
        alias = {"address": found_address, "size": max(size, 0), "limit": MOST_REACHED + 1}
        return _recipients(await self._database.read(EXPAND, alias))

    async def usage(self, account_id: int) -> Usage:
        """See the port."""
        rows = await self._database.read(statements.USAGE, {"account_id": account_id})
        if not rows:
            raise AccountUnknown
        used_bytes, used_messages, quota_bytes, quota_messages = rows[0]
        return Usage(used_bytes, used_messages, Quota(quota_bytes, quota_messages))

    async def _secret(self, password: bytes) -> bytes:
        _check_secret(password)
        return await self._passwords.hash(password)


def _account(row: Row) -> Account:
    return Account(row[0], row[1], row[2], Quota(row[3], row[4]))


def _recipients(rows: Sequence[Row]) -> list[Recipient]:
    """Those of the rows of RESOLVE or EXPAND that take the letter. Raises what `resolve` does."""
    if not rows:
        raise RecipientUnknown
    if len(rows) > MOST_REACHED:
        raise LimitExceeded(f"the alias leads to more than {MOST_REACHED} accounts")
    taken = [row for row in rows if row[2]]
    if not taken:
        raise AccountDisabled
    if not all(fits for *_, fits in taken):
        raise OverQuota
    return [Recipient(account_id, mailbox_id, address) for address, account_id, _, mailbox_id, _ in taken]


def _check_secret(secret: bytes) -> None:
    if not secret or b"\0" in secret or len(secret) > MAX_PASSWORD_OCTETS:
        raise InvalidArgument(f"a password has 1 to {MAX_PASSWORD_OCTETS} octets and no NUL")


def _check_quota(quota: Quota) -> None:
    if not (0 <= quota.bytes < 2**63 and 0 <= quota.messages < 2**63):
        raise InvalidArgument("a quota is 0 or more")


def _network_key(network: str) -> str:
    """Loopback is not counted: everything that runs beside us comes from there. IPv6 counts by /64."""
    try:
        address = ipaddress.ip_address(network.split("%", maxsplit=1)[0])
    except ValueError:
        return f"network {network[:100]}" if network else ""
    if address.is_loopback:
        return ""
    if address.version == 6:
        return f"network {ipaddress.ip_network((address, 64), strict=False)}"
    return f"network {address}"
