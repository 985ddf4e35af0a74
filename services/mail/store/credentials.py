"""What an account logs in by besides its password: this part of the store's port.

The rule: no secret and no key leaves the store; what does leave tells nobody whether a login exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from services.mail.store.accounts import NO_SCOPE, Account, Scope

# App passwords of one account.
MOST_APP_PASSWORDS: Final = 100
MAX_LABEL: Final = 100


@dataclass(frozen=True, slots=True)
class Salted:
    """How a client has to make its keys. RFC 5802 §3."""

    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class Proved:
    """Who came in, and the signature that shows the client who we are. RFC 5802 §3."""

    account: Account
    signature: bytes


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A password for one program. number: unique in the account. Times: seconds since 1970, 0 is never."""

    number: int
    label: str
    scopes: Scope
    created_at: int
    expires_at: int = 0
    used_at: int = 0


@dataclass(frozen=True, slots=True)
class NewAppPassword:
    """An app password with its secret, which is seen this once."""

    entry: AppPassword
    password: str = field(repr=False)


class Credentials(Protocol):
    """The credentials of an installation."""

    async def find_salt(self, login: str) -> Salted:
        """Of a SCRAM login, always the same; an unknown login has one too."""
        ...

    async def authenticate_proof(
        self,
        login: str,
        message: bytes,
        proof: bytes,
        network: str,
        scope: Scope = NO_SCOPE,
        authorize: str = "",
    ) -> Proved:
        """Checks a SCRAM proof, by the keys made when the password was set or last given. RFC 5802 §3, RFC 7677.

        message: AuthMessage. proof: ClientProof, 32 octets. network: the peer's address; failures count like those of
        passwords. scope: where; app passwords of that scope count too. authorize: as
        in `Accounts.authenticate`.
        Raises BadCredentials, AccountDisabled, TooManyAttempts.
        """
        ...

    async def authenticate_token(self, login: str, token: str, network: str) -> Account:
        """Checks a bearer token of the issuer that the settings name. RFC 7628 §3, RFC 7519 §7.2.

        login: whom the token should be of, "" for whoever it is. network: the peer's address, for throttling.
        Raises BadCredentials, AccountDisabled, TooManyAttempts.
        """
        ...

    async def add_app_password(
        self, account_id: int, label: str, scopes: Scope, expires_at: int = 0
    ) -> NewAppPassword:
        """Makes a password for one program; it is told here and never again.

        label: 1 to 100 printable characters. scopes: one at least. expires_at: seconds since 1970, 0 is never.
        Raises AccountUnknown, InvalidArgument; LimitExceeded where the account has 100.
        """
        ...

    async def list_app_passwords(self, account_id: int) -> Sequence[AppPassword]:
        """In the order in which they were made. Raises AccountUnknown."""
        ...

    async def remove_app_password(self, account_id: int, number: int) -> bool:
        """Logins by it fail from now on; False where there was none."""
        ...


def is_label(label: str) -> bool:
    """Whether an app password may be called so."""
    return 0 < len(label) <= MAX_LABEL and label.isprintable()
