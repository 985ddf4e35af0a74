"""Traces: what became of letters. This part of the store's port.

The rule: nothing waits for it. A delivery is durable before its trace is, and a process that dies may take the traces
of its last moments with it; the letters are there all the same.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol, TypedDict
from uuid import UUID

from services.mail.address import parse_domain
from services.mail.errors import InvalidAddress

MAX_RECORDED: Final = 1000
# Longer ones are cut, when they are kept and when they are asked for.
MAX_WORD: Final = 320

_SENDER: Final = re.compile(rb"^Return-Path: <([^\r\n]*)>\r\n", re.MULTILINE | re.IGNORECASE)
_RECIPIENT: Final = re.compile(rb"^Delivered-To: ([^\r\n]*)\r\n", re.MULTILINE | re.IGNORECASE)
_PEER: Final = re.compile(
    rb"^Received: from [^\r\n]* \(\[(?:IPv6:)?([^\]\r\n]+)\]\)", re.MULTILINE | re.IGNORECASE
)
# More of an ENVELOPE than its last string takes, quoted.
_TAIL_OCTETS: Final = 8192


class TraceKind(IntEnum):
    """What became of a letter for one recipient."""

    DELIVERED = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What became of one letter for one recipient.

    at: microseconds since 1970. letter_id: what Received shows as id, None where it had none yet. sender, recipient: of
    the envelope, in lower case, the domain in A-labels. message_id: without angle brackets. peer: the address it came
    from. detail: what the peer was told. account_id, mailbox_id, uid: where it was delivered, else 0. mailbox: the name
    that this mailbox has now, "" where it is gone; is_there: the message still is; dsn: what its sender wants to be
    told, as SMTP writes it (RFC 3461 §4); account: the address of account_id; these four only in answers.
    """

    kind: TraceKind
    at: int
    letter_id: UUID | None = None
    sender: str = ""
    recipient: str = ""
    message_id: str = ""
    peer: str = ""
    size: int = 0
    detail: str = ""
    account_id: int = 0
    mailbox_id: int = 0
    uid: int = 0
    mailbox: str = ""
    is_there: bool = False
    dsn: str = ""
    account: str = ""


class Traces(Protocol):
    """Where letters went."""

    async def record(self, traces: Sequence[Trace]) -> None:
        """Keeps what a door refused, at most MAX_RECORDED at once. Raises InvalidArgument."""
        ...

    async def find(
        self,
        *,
        message_id: str = "",
        sender: str = "",
        recipient: str = "",
        letter_id: UUID | None = None,
        account_id: int = 0,
        most: int = 100,
    ) -> Sequence[Trace]:
        """What is known of letters that have all that is given, the newest first.

        account_id: where it was delivered, by whatever address. letter_id: what our 250 and Received call it. Addresses
        in any case, a message id with its angle brackets or without. Raises InvalidArgument where nothing is given.
        """
        ...


class _Told(TypedDict):
    sender: str
    recipient: str
    peer: str
    message_id: str


def delivered_with(head: bytes, envelope: bytes) -> _Told:
    """Fields of a Trace, as a copy's trace headers and its ENVELOPE tell them.

    The head is this recipient's own, and put there by a door. RFC 5321 §4.4.
    """
    quoted = _last_string(envelope).decode("utf-8", "replace")
    return {
        "sender": address_of(_first(_SENDER, head)),
        "recipient": address_of(_first(_RECIPIENT, head)),
        "peer": _first(_PEER, head)[:MAX_WORD],
        "message_id": message_id_of(re.sub(r"\\(.)", r"\1", quoted)),
    }


def address_of(text: str) -> str:
    """As a trace has it."""
    local, at, domain = text.strip().removeprefix("<").removesuffix(">").lower().rpartition("@")
    if not domain.isascii():
        with suppress(InvalidAddress):
            domain = parse_domain(domain)
    return f"{local}{at}{domain}"[:MAX_WORD]


def message_id_of(text: str) -> str:
    """As a trace has it."""
    return text.strip().removeprefix("<").removesuffix(">")[:MAX_WORD]


def _last_string(envelope: bytes) -> bytes:
    """The quoted string that an ENVELOPE ends with, as it stands there; b"" where it ends otherwise.

    It is looked for from the end: a Subject may be nothing but quotes, each of them a beginning to look on from.
    """
    if not envelope.endswith(b'")'):
        return b""
    tail = envelope[-_TAIL_OCTETS:-2]
    start = tail.rfind(b'"')
    while start >= 0 and (start - len(tail[:start].rstrip(b"\\"))) % 2:
        start = tail.rfind(b'"', 0, start)
    return tail[start + 1 :] if start >= 0 else b""


def _first(pattern: re.Pattern[bytes], octets: bytes) -> str:
    match = pattern.search(octets)
    return match[1].decode("utf-8", "replace") if match else ""
