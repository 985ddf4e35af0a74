"""The lines that a recipient's copy gets in front of its content. RFC 5321 §4.4.

It knows the trace headers. The rule: nothing of the peer enters them that the grammar of its command did not admit,
and what names a recipient stands in that recipient's copy alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from services.mail.smtp.paths import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """How a letter came. hostname: what EHLO said; protocol: the word of RFC 3848 or RFC 6531 §4.3; receiver: us."""

    hostname: str
    peer: str
    receiver: str
    protocol: str


def protocol(*, is_esmtp: bool, is_tls: bool, smtputf8: bool, is_lmtp: bool = False) -> str:
    """The word behind `with`. RFC 3848, RFC 6531 §4.3: HELO has one word, with TLS or without."""
    if not is_esmtp:
        return "SMTP"
    word = "LMTP" if is_lmtp else "SMTP" if smtputf8 else "ESMTP"
    return ("UTF8" if smtputf8 else "") + word + ("S" if is_tls else "")


def trace(origin: Origin, sender: Path, recipient: Path, letter_id: str, seconds: int) -> bytes:
    """Return-Path, Delivered-To and Received of one recipient's copy. seconds: since 1970."""
    return (
        f"Return-Path: <{sender}>\r\n"
        f"Delivered-To: {recipient}\r\n"
        f"Received: from {origin.hostname} ({literal(origin.peer)})\r\n"
        f"\tby {origin.receiver} with {origin.protocol} id {letter_id}\r\n"
        f"\tfor <{recipient}>; {_date(seconds)}\r\n"
    ).encode()


def literal(address: str) -> str:
    """An IP address as an address literal. RFC 5321 §4.1.3."""
    address = address.partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))
