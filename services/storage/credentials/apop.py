"""APOP's secrets: the digest is made of them, so they must be readable, and are kept sealed. RFC 1939 §7.

The rule: no secret leaves this module but sealed, for its own account; a digest is compared in constant time, and where
an account has no secret the same is done with nobody's.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.plumbing import logs
from services.plumbing.failures import CannotStart

log = logs.get(__name__)

KEY_OCTETS: Final = 32
NONCE_OCTETS: Final = 12


class Apop:
    """Seals secrets and checks digests. key: None where APOP is off, and then no digest is right."""

    def __init__(self, key: bytes | None) -> None:
        self.is_on = key is not None
        self._cipher = AESGCM(key or secrets.token_bytes(KEY_OCTETS))
        self._nobody = self.seal(secrets.token_bytes(16), 0)

    def seal(self, secret: bytes, account_id: int) -> bytes:
        """What may be kept; it opens for this account alone."""
        nonce = secrets.token_bytes(NONCE_OCTETS)
        return nonce + self._cipher.encrypt(nonce, secret, _owner(account_id))

    def is_right(self, timestamp: bytes, digest: bytes, account_id: int, sealed: bytes | None) -> bool:
        """Whether the digest is MD5 of the timestamp and the secret; sealed None is nobody's."""
        known = self.is_on and sealed is not None
        box, owner = (sealed, account_id) if known and sealed is not None else (self._nobody, 0)
        try:
            secret = self._cipher.decrypt(box[:NONCE_OCTETS], box[NONCE_OCTETS:], _owner(owner))
        except InvalidTag:
            log.warning("APOP secret was sealed with another key", account_id=account_id)
            return False
        expected = hashlib.md5(timestamp + secret, usedforsecurity=False).digest()
        return hmac.compare_digest(expected, digest) and known


def read_key(path: Path) -> bytes:
    """The key of a file that holds it in base64. Raises CannotStart."""
    try:
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except OSError as error:
        raise CannotStart(f"no key to seal APOP secrets with: {path}: {error.strerror}") from None
    except binascii.Error:
        key = b""
    if len(key) != KEY_OCTETS:
        raise CannotStart(
            f"{path} should hold {KEY_OCTETS} octets in base64, as openssl rand -base64 32 makes them"
        )
    return key


def _owner(account_id: int) -> bytes:
    return b"apop %d" % account_id
