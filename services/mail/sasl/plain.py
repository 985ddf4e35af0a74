"""SASL PLAIN: RFC 4616."""

from __future__ import annotations

from services.mail.errors import ProtocolError
from services.mail.sasl.exchange import Challenge, Channel, Exchange, PasswordGiven, text


def plain(initial: bytes | None, _: Channel) -> Exchange:
    """One answer: whom to act for, who that is, and the password, with NULs between. RFC 4616 §2."""
    answer = (yield Challenge()) if initial is None else initial
    fields = answer.split(b"\0")
    if len(fields) != 3:
        raise ProtocolError("not a PLAIN answer")
    authorize, login, password = fields
    yield PasswordGiven(text(authorize), text(login), password)
