"""SCRAM's keys: what a server keeps of a password, and how it knows a proof by them. RFC 5802 §3, RFC 7677.

The rule: keys let nobody log in without the password that they were made of, but they can be guessed at offline, as
any hash; so they never leave storage.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from services.mail.sasl.preparation import prepared

# RFC 7677 §4 asks for a tenth of a second where that can be borne, and 4096 at least; phones bear these.
ITERATIONS: Final = 30_000
SALT_OCTETS: Final = 16
PROOF_OCTETS: Final = 32


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Of one password, for one salt and number of iterations."""

    stored: bytes
    server: bytes

    def signature(self, message: bytes, proof: bytes) -> bytes | None:
        """What proves to the client that we know the keys; None where its own proof is wrong.

        message: AuthMessage. proof: ClientProof.
        """
        mask = hmac.digest(self.stored, message, "sha256")
        client = bytes(a ^ b for a, b in zip(mask, proof.ljust(PROOF_OCTETS, b"\0"), strict=False))
        if not hmac.compare_digest(hashlib.sha256(client).digest(), self.stored):
            return None
        return hmac.digest(self.server, message, "sha256")


def make_keys(password: bytes, salt: bytes, iterations: int = ITERATIONS) -> Keys:
    """Slow on purpose. password: as it was typed."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return Keys(hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))


def make_salt(key: bytes, login: str) -> bytes:
    """The salt of a login, whether or not it is anybody's: so it tells nothing, and all its secrets share it.

    key: the installation's own. login: canonical.
    """
    return hmac.digest(key, b"salt " + login.encode("utf-8", "surrogatepass"), "sha256")[:SALT_OCTETS]
