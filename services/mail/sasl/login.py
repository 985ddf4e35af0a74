"""SASL LOGIN, which no RFC has (draft-murchison-sasl-login) and old clients know alone."""

from __future__ import annotations

from services.mail.errors import ProtocolError
from services.mail.sasl.exchange import Challenge, Channel, Exchange, PasswordGiven, text


def login(initial: bytes | None, _: Channel) -> Exchange:
    """Two questions, of which the first may be answered in advance."""
    name = (yield Challenge(b"User Name\0")) if initial is None else initial
    password = yield Challenge(b"Password\0")
    if b"\0" in password:
        raise ProtocolError("NUL in a password")
    yield PasswordGiven("", text(name), password)
