"""SASL PLAIN: RFC 4616. The rule: nothing here is logged, and an error never repeats what was sent."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from services.mail.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Plain:
    """authorize: whom to act for, "" for oneself. login: who that is. password: any octets but NUL."""

    authorize: str
    login: str
    password: bytes

    @classmethod
    def decode(cls, encoded: bytes) -> Plain:
        """Reads a client's base64 answer. RFC 4616 §2. Raises ProtocolError."""
        try:
            authorize, login, password = binascii.a2b_base64(encoded, strict_mode=True).split(b"\0")
            return cls(authorize.decode(), login.decode(), password)
        except (ValueError, UnicodeDecodeError):  # binascii.Error is a ValueError
            raise ProtocolError("not a PLAIN answer") from None
