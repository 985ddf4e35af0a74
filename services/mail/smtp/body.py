"""The octets of a message, between 354 and the end-of-data mark or in chunks. RFC 5321 §4.1.1.4, §4.5.2, RFC 3030 §2.

It knows dots and line ends. The rule: only CR LF . CR LF ends what DATA began, whatever else looks like an end to
somebody (CVE-2023-51764 and its kin), and only its octets, counted, a chunk; a bare CR or LF makes the whole message
unacceptable, or is normalised where so configured, after the end was looked for and never before.
"""

import re
from typing import Final

from services.mail.errors import InvalidMessage, MailError, MessageTooLarge

_END: Final = b"\r\n.\r\n"
# What may grow into the mark with the next octets, longest first.
_BEGINNINGS: Final = (b"\r\n.\r", b"\r\n.", b"\r\n", b"\r")
_ANY_NEWLINE = re.compile(rb"\r\n|\r|\n")


class _Scanner:
    """What both ways of sending a message have in common.

    size: octets of content so far. refusal: why the message cannot be taken; its end is looked for all the same.
    """

    __slots__ = ("_held", "_limit", "_normalises", "refusal", "size")

    def __init__(self, limit: int, *, normalises: bool = False) -> None:
        """limit: octets of content that are taken. normalises: bare CR and LF become CR LF instead of a refusal."""
        self._limit = limit
        self._normalises = normalises
        self._held = b""
        self.size = 0
        self.refusal: MailError | None = None

    def _clean(self, content: bytes) -> bytes:
        """The content, which begins and ends inside no CR LF, as it is kept; none where it cannot be taken."""
        line_ends = content.count(b"\r\n")
        if not content.count(b"\n") == line_ends == content.count(b"\r"):
            if not self._normalises:
                self.refusal = InvalidMessage("A bare CR or LF in the message; lines end in CR LF")
                return b""
            content = _ANY_NEWLINE.sub(b"\r\n", content)
        self.size += len(content)
        if self.size > self._limit:
            self.refusal = MessageTooLarge()
            return b""
        return content


class ChunkScanner(_Scanner):
    """Looks through the chunks of one message; linear, and holds an octet of them at most. RFC 3030 §2.

    is_told: whether somebody was told of the refusal.
    """

    __slots__ = ("is_told",)

    def __init__(self, limit: int, *, normalises: bool = False) -> None:
        """See `_Scanner`."""
        super().__init__(limit, normalises=normalises)
        self.is_told = False

    def announce(self, size: int) -> None:
        """A chunk of so many octets begins: what will be too large is refused before it comes."""
        if self.refusal is None and self.size + size > self._limit:
            self.refusal = MessageTooLarge()

    def feed(self, data: bytes, *, is_end: bool) -> bytes:
        """Takes the next octets of a chunk and gives the content that is certain now. is_end: of the message."""
        if self.refusal is not None:
            return b""
        data = self._held + data
        # An LF may follow in the next chunk.
        self._held = b"" if is_end or not data.endswith(b"\r") else b"\r"
        return self._clean(data[:-1] if self._held else data)


class BodyScanner(_Scanner):
    """Finds the end of one message in octets that come in pieces; linear, and holds four of them at most.

    rest: what came behind the end mark, once `is_ended`.
    """

    __slots__ = ("_is_first", "is_ended", "rest")

    def __init__(self, limit: int, *, normalises: bool = False) -> None:
        """See `_Scanner`."""
        super().__init__(limit, normalises=normalises)
        # The line end of the DATA command opens the first line, so that a dot alone in it is the end, too.
        self._held = b"\r\n"
        self._is_first = True
        self.is_ended = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Takes the next octets and gives the content that is certain now, without stuffed dots; none once refused."""
        data = self._held + data if self._held else data
        end = data.find(_END)
        if end >= 0:
            self.is_ended = True
            self.rest = data[end + len(_END) :]
            self._held = b""
            data = data[: end + 2]
        else:
            self._held = next((start for start in _BEGINNINGS if data.endswith(start)), b"")
            if self._held:
                data = data[: -len(self._held)]
        return self._content(data) if self.refusal is None else b""

    def _content(self, lines: bytes) -> bytes:
        """lines: octets that begin or end inside no CR LF and no CR LF dot."""
        content = lines.replace(b"\r\n.", b"\r\n")
        if self._is_first and content:
            content = content[2:]
            self._is_first = False
        return self._clean(content)
