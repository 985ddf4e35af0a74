"""SCRAM's keys as they are kept. The rule: they hold their iterations, so that those may grow."""

import secrets
from typing import Final

from services.mail.sasl.keys import ITERATIONS, Keys

_HEAD: Final = ITERATIONS.to_bytes(4)
_KEY: Final = 32
# What an unknown login is checked against, at the same cost.
_NOBODY: Final = Keys(secrets.token_bytes(_KEY), secrets.token_bytes(_KEY))


def to_secret(keys: Keys) -> bytes:
    """The secret to keep."""
    return _HEAD + keys.stored + keys.server


def from_secret(secret: bytes | None) -> Keys:
    """The keys of a secret; None is nobody's."""
    if secret is None:
        return _NOBODY
    return Keys(secret[len(_HEAD) : len(_HEAD) + _KEY], secret[len(_HEAD) + _KEY :])


def is_current(secret: bytes | None) -> bool:
    """Whether clients that ask today make these keys."""
    return secret is not None and secret.startswith(_HEAD)
