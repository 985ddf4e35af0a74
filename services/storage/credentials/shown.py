"""What somebody shows to come in, and whether it fits what is kept.

The rule: secrets are compared in constant time, and where there is none to compare with, the same work is done.
"""

import hmac
from collections.abc import Sequence
from typing import Final, Protocol

from services.mail.sasl.keys import Keys
from services.storage.credentials import scram
from services.storage.credentials.apop import Apop
from services.storage.credentials.passwords import Passwords

# What credentials.kind says.
PASSWORD: Final = 1
SCRAM: Final = 2
APOP: Final = 3


class Shown(Protocol):
    """One try. kind: of the credential that it is compared with. is_of_login: whether it guesses at one at all."""

    @property
    def kind(self) -> int: ...
    @property
    def is_of_login(self) -> bool: ...

    def fits_app(self, secret: bytes, scram_keys: bytes) -> bool:
        """Whether it is this app password: its hash, and its keys."""
        ...

    async def fits(self, account_id: int, version: int, secret: bytes | None) -> bool:
        """Whether it fits the account's credential; secret None is nobody's. Raises TooManyAttempts."""
        ...

    def marks(self, login_key: str) -> Sequence[bytes]:
        """What it is known by when it comes again, where it can be."""
        ...

    def costly(self, login_key: str, version: int) -> bytes:
        """What this process knows it by where it is costly to look at, or b""."""
        ...


class PasswordShown:
    """A password. key: the installation's."""

    kind = PASSWORD
    is_of_login = True

    def __init__(self, passwords: Passwords, key: bytes, password: bytes) -> None:
        self._passwords = passwords
        self._key = key
        self._password = password
        self._hash = hash_app(key, password)

    def fits_app(self, secret: bytes, _scram_keys: bytes) -> bool:
        """By the hash."""
        return hmac.compare_digest(self._hash, secret)

    async def fits(self, account_id: int, version: int, secret: bytes | None) -> bool:
        """By argon2id, or what is remembered of it."""
        return await self._passwords.is_right(self._password, account_id, version, secret)

    def marks(self, login_key: str) -> Sequence[bytes]:
        """Two octets of a hash: enough to know it again, and too little to find it, which is often nearly right."""
        text = b"wrong " + login_key.encode("utf-8", "surrogatepass") + b"\0" + self._password
        return [hmac.digest(self._key, text, "sha256")[:2]]

    def costly(self, login_key: str, version: int) -> bytes:
        """A whole hash: the same one was wrong, as long as the password was not replaced."""
        text = b"costly %d " % version + login_key.encode("utf-8", "surrogatepass") + b"\0" + self._password
        return hmac.digest(self._key, text, "sha256")


class ProofShown:
    """A SCRAM proof. signature: what answers it, once it has fitted."""

    kind = SCRAM
    is_of_login = True

    def __init__(self, message: bytes, proof: bytes) -> None:
        self._message = message
        self._proof = proof
        self.signature = b""

    def fits_app(self, _secret: bytes, scram_keys: bytes) -> bool:
        """By the keys; all of an account's secrets have one salt."""
        return self._fits(scram.from_secret(scram_keys))

    async def fits(self, _account_id: int, _version: int, secret: bytes | None) -> bool:
        """By the keys, of nobody where there are none."""
        return self._fits(scram.from_secret(secret)) and secret is not None

    def marks(self, _login_key: str) -> Sequence[bytes]:
        """None: the same password never makes the same proof."""
        return []

    def costly(self, _login_key: str, _version: int) -> bytes:
        """It is not."""
        return b""

    def _fits(self, keys: Keys) -> bool:
        signature = keys.signature(self._message, self._proof)
        if signature is not None:
            self.signature = signature
        return signature is not None


class DigestShown:
    """An APOP digest. RFC 1939 §7."""

    kind = APOP
    is_of_login = True

    def __init__(self, apop: Apop, timestamp: bytes, digest: bytes) -> None:
        self._apop = apop
        self._timestamp = timestamp
        self._digest = digest

    def fits_app(self, _secret: bytes, _scram_keys: bytes) -> bool:
        """Never: what is kept of an app password makes no digest."""
        return False

    async def fits(self, account_id: int, _version: int, secret: bytes | None) -> bool:
        """By the secret, of nobody where there is none."""
        return self._apop.is_right(self._timestamp, self._digest, account_id, secret)

    def marks(self, _login_key: str) -> Sequence[bytes]:
        """None: the same secret never makes the same digest."""
        return []

    def costly(self, _login_key: str, _version: int) -> bytes:
        """It is not."""
        return b""


class TokenShown:
    """A token that was checked already. is_right: whether it is good, and of the login."""

    kind = PASSWORD
    is_of_login = False

    def __init__(self, key: bytes, token: str, *, is_right: bool) -> None:
        self._key = key
        self._token = token
        self._is_right = is_right

    def fits_app(self, _secret: bytes, _scram_keys: bytes) -> bool:
        """Never."""
        return False

    async def fits(self, account_id: int, _version: int, _secret: bytes | None) -> bool:
        """Where there is such an account."""
        return self._is_right and bool(account_id)

    def marks(self, _login_key: str) -> Sequence[bytes]:
        """The token's own."""
        return [hmac.digest(self._key, b"wrong token " + self._token.encode(), "sha256")[:2]]

    def costly(self, _login_key: str, _version: int) -> bytes:
        """It is not."""
        return b""


def hash_app(key: bytes, password: bytes) -> bytes:
    """What is kept of an app password: as random as it is, it needs nothing slower."""
    return hmac.digest(key, b"app password " + password, "sha256")
