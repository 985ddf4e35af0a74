"""Credentials on PostgreSQL. The rule: whoever comes in comes through `logins`."""

import secrets
from collections.abc import Sequence
from typing import Final

from psycopg.errors import UniqueViolation

from services.mail.errors import InvalidArgument, LimitExceeded
from services.mail.store.accounts import NO_SCOPE, Account, Scope
from services.mail.store.credentials import (
    MAX_LABEL,
    MOST_APP_PASSWORDS,
    AppPassword,
    NewAppPassword,
    Proved,
    Salted,
    is_label,
)
from services.storage.credentials import statements
from services.storage.credentials.logins import Logins
from services.storage.credentials.shown import hash_app
from services.storage.transaction import Database, Row, Values

# Twenty of these are a hundred bits; none is taken for another.
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS: Final = 4
_GROUP: Final = 5
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31
_TRIES: Final = 5


class PostgresCredentials:
    """Implements `services.mail.store.credentials.Credentials`."""

    def __init__(self, database: Database, logins: Logins) -> None:
        self._database = database
        self._logins = logins

    async def find_salt(self, login: str) -> Salted:
        """See the port."""
        return await self._logins.find_salt(login)

    async def authenticate_proof(
        self,
        login: str,
        message: bytes,
        proof: bytes,
        network: str,
        scope: Scope = NO_SCOPE,
        authorize: str = "",
    ) -> Proved:
        """See the port."""
        return await self._logins.by_proof(login, message, proof, network, scope, authorize)

    async def authenticate_token(self, login: str, token: str, network: str) -> Account:
        """See the port."""
        return await self._logins.by_token(login, token, network)

    async def add_app_password(
        self, account_id: int, label: str, scopes: Scope, expires_at: int = 0
    ) -> NewAppPassword:
        """See the port."""
        if not is_label(label):
            raise InvalidArgument(f"a label has 1 to {MAX_LABEL} printable characters")
        if not scopes or not 0 <= expires_at <= _LAST_SECOND:
            raise InvalidArgument(
                "an app password has a scope at least, and ends in some year of four digits"
            )
        address = await self._logins.address_of(account_id)
        password = make_password()
        values = {
            "account_id": account_id,
            "label": label,
            "scopes": int(scopes),
            "hash": hash_app(await self._logins.key(), password.encode()),
            "scram_keys": await self._logins.scram_keys(address, password.encode()),
            "expires_at": expires_at,
            "most": MOST_APP_PASSWORDS,
        }
        number, created_at = await self._add_app(values)
        return NewAppPassword(AppPassword(number, label, scopes, created_at, expires_at), password)

    async def _add_app(self, values: Values) -> Row:
        for tries_left in reversed(range(_TRIES)):
            try:
                rows = await self._database.write(statements.ADD_APP, values)
            except UniqueViolation:
                if not tries_left:
                    raise
                continue
            if rows:
                return rows[0]
            break
        raise LimitExceeded(f"an account has {MOST_APP_PASSWORDS} app passwords at most")

    async def list_app_passwords(self, account_id: int) -> Sequence[AppPassword]:
        """See the port."""
        rows = await self._database.read(statements.LIST_APPS, {"account_id": account_id})
        if not rows:
            await self._logins.address_of(account_id)
        return [AppPassword(number, label, Scope(scopes), *times) for number, label, scopes, *times in rows]

    async def remove_app_password(self, account_id: int, number: int) -> bool:
        """See the port."""
        values = {"account_id": account_id, "id": number}
        return bool(await self._database.write(statements.REMOVE_APP, values))


def make_password() -> str:
    """A new one, in groups that can be read aloud."""
    letters = [secrets.choice(_LETTERS) for _ in range(_GROUPS * _GROUP)]
    return "-".join("".join(letters[start : start + _GROUP]) for start in range(0, len(letters), _GROUP))
