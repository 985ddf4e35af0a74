"""Replies as octets: status lines, refusals by the table, and bodies with their dots doubled. RFC 1939 §3.

Rule: a message's octets go out as they came in but for doubled dots, and a last CRLF where it has none.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from services.mail.errors import ProtocolError, wording
from services.mail.pop3 import languages
from services.mail.pop3.maildrop import Maildrop

END: Final = b".\r\n"
NOT_TEXT: Final = dict.fromkeys((*range(32), 127), " ")


def greeting(hostname: str, timestamp: str) -> bytes:
    """The first line. timestamp: what APOP's digest begins with, "" where that is not offered. RFC 1939 §4, §7."""
    return ok(f"Restante is ready {timestamp}" if timestamp else f"Restante on {hostname} is ready")


def ok(text: str = "") -> bytes:
    """A positive reply."""
    return f"+OK {text}\r\n".encode() if text else b"+OK\r\n"


def error(text: str, code: str = "") -> bytes:
    """A refusal. code: of RFC 2449 §8 or RFC 3206, without brackets."""
    # The line stays below RFC 2449's 512 octets and never holds a line end.
    clean = text.translate(NOT_TEXT)[:120]
    return f"-ERR [{code}] {clean}\r\n".encode() if code else f"-ERR {clean}\r\n".encode()


def challenge(encoded: str) -> bytes:
    """What an AUTH that runs says to its client, in base64. RFC 5034 §4."""
    return f"+ {encoded}\r\n".encode()


def refusal(reason: BaseException) -> bytes:
    """How the table words whatever went wrong."""
    if isinstance(reason, ProtocolError):
        return error(reason.detail)
    row = wording(reason)
    return error(getattr(reason, "text", row.text), row.pop3 or "")


def capabilities(*, can_start_tls: bool, mechanisms: Sequence[str]) -> bytes:
    """CAPA's answer, holding only what works now. RFC 2449 §6.

    mechanisms: of SASL; none where no password may travel.
    """
    lines = [b"+OK what is possible here", b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING"]
    lines += [b"EXPIRE NEVER", b"LOGIN-DELAY 0", b"UTF8", b"LANG"]
    if mechanisms:
        lines += [b"USER", b"SASL " + " ".join(mechanisms).encode()]  # RFC 5034 §3
    if can_start_tls:
        lines.append(b"STLS")
    lines += [b"IMPLEMENTATION Restante", b"."]
    return b"\r\n".join(lines) + b"\r\n"


def language_listing() -> bytes:
    """LANG's answer to no range: each language in its own words. RFC 6856 §3."""
    lines = (f"{tag} {name}\r\n".encode() for tag, name in languages.NAMES.items())
    return ok("Languages") + b"".join(lines) + END


def scan_listing(maildrop: Maildrop) -> Iterator[bytes]:
    """LIST: number and octets of each message."""
    yield b"+OK %d messages (%d octets)\r\n" % (len(maildrop), maildrop.octets)
    for number in maildrop.numbers():
        yield b"%d %d\r\n" % (number, maildrop.size(number))
    yield END


def unique_id_listing(maildrop: Maildrop) -> Iterator[bytes]:
    """UIDL: number and unique id of each message."""
    yield ok()
    for number in maildrop.numbers():
        yield b"%d %b\r\n" % (number, maildrop.unique_id(number))
    yield END


class DotStuffing:
    """Doubles dots that start a line, over any cut into chunks. RFC 1939 §3."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"

    def feed(self, chunk: bytes) -> bytes:
        """A chunk as it goes out."""
        if not chunk:
            return b""
        # Only a dot, or LF and a dot, at the very start can complete a line start that began before.
        joined = self._tail + chunk
        start = len(self._tail)
        self._tail = joined[-2:]
        if b"\r\n." not in joined:
            return chunk
        return joined.replace(b"\r\n.", b"\r\n..")[start:]

    def end(self) -> bytes:
        """What ends the message: a CRLF where it has none, and the dot."""
        return END if self._tail == b"\r\n" else b"\r\n" + END


def stuffed(body: bytes) -> bytes:
    """A whole message as it goes out, its end included."""
    stuffing = DotStuffing()
    return stuffing.feed(body) + stuffing.end()


class TopLines:
    """Cuts a message behind its header and the first lines of its body. RFC 1939 §7.

    header: octets up to and with the empty line. lines: of the body.
    """

    __slots__ = ("_header", "_lines")

    def __init__(self, header: int, lines: int) -> None:
        self._header = header
        self._lines = lines

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is wanted."""
        return self._header == 0 and self._lines == 0

    def feed(self, chunk: bytes) -> bytes:
        """What of the chunk is wanted."""
        position = min(self._header, len(chunk))
        self._header -= position
        if self._header:
            return chunk
        found = chunk.count(b"\n", position)
        if found < self._lines:
            self._lines -= found
            return chunk
        while self._lines:
            position = chunk.index(b"\n", position) + 1
            self._lines -= 1
        return chunk[:position]
