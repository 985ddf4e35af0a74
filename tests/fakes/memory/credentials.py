"""Credentials in memory: keys are made whenever they are needed."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from services.mail.errors import BadCredentials, InvalidArgument, LimitExceeded
from services.mail.sasl.keys import make_keys, make_salt
from services.mail.store.accounts import NO_SCOPE, Account, Scope
from services.mail.store.credentials import (
    MOST_APP_PASSWORDS,
    AppPassword,
    NewAppPassword,
    Proved,
    Salted,
    is_label,
)
from tests.fakes.memory.accounts import MemoryAccounts, secrets_of
from tests.fakes.memory.state import Ledger, State

KEY = b"memory"
ITERATIONS = 16


@dataclass(frozen=True, slots=True)
class MemoryCredentials:
    """The port's Credentials."""

    state: State

    async def find_salt(self, login: str) -> Salted:
        """Of any login."""
        return Salted(make_salt(KEY, login.lower()), ITERATIONS)

    async def authenticate_proof(
        self,
        login: str,
        message: bytes,
        proof: bytes,
        network: str,
        scope: Scope = NO_SCOPE,
        authorize: str = "",
    ) -> Proved:
        """Checks a proof."""
        found: list[bytes] = []

        def is_right(ledger: Ledger) -> bool:
            salt = make_salt(KEY, ledger.account.address)
            for secret in secrets_of(self.state, ledger, scope):
                signature = make_keys(secret, salt, ITERATIONS).signature(message, proof)
                if signature is not None:
                    found.append(signature)
            return bool(found)

        account = MemoryAccounts(self.state).log_in(login, is_right, authorize)
        return Proved(account, found[0])

    async def authenticate_token(self, login: str, token: str, network: str) -> Account:
        """A token is good here if a test has put it into the state."""
        named = self.state.tokens.get(token, "")
        if login.lower() not in ("", named):
            raise BadCredentials
        return MemoryAccounts(self.state).log_in(named, lambda _: True)

    async def add_app_password(
        self, account_id: int, label: str, scopes: Scope, expires_at: int = 0
    ) -> NewAppPassword:
        """Makes one."""
        if not is_label(label) or not scopes or expires_at < 0:
            raise InvalidArgument
        ledger = self.state.ledger(account_id)
        if len(ledger.apps) >= MOST_APP_PASSWORDS:
            raise LimitExceeded
        ledger.last_app += 1
        entry = AppPassword(ledger.last_app, label, scopes, int(self.state.now()), expires_at)
        made = ledger.apps[entry.number] = NewAppPassword(entry, secrets.token_hex(8))
        return made

    async def list_app_passwords(self, account_id: int) -> Sequence[AppPassword]:
        """In their order; no use of them is noted here."""
        return [each.entry for each in self.state.ledger(account_id).apps.values()]

    async def remove_app_password(self, account_id: int, number: int) -> bool:
        """Removes one."""
        ledger = self.state.ledgers.get(account_id)
        return ledger is not None and ledger.apps.pop(number, None) is not None
