"""Where one SMTP command line ends, before anything is understood. RFC 5321 §2.3.8, §4.5.3.1.4.

It knows line ends and the bound of a line. The rule: whatever is wrong with a line, the next one starts behind its LF,
so that a bad command never takes another one with it.
"""

from typing import Final

from services.mail.smtp import replies
from services.mail.smtp.replies import Reply


class Lines:
    """Octets that have come and were not yet taken, as lines or all at once; a line at most outlives what came last."""

    __slots__ = ("_buffer", "_is_overlong", "_limit", "_position")

    def __init__(self, limit: int) -> None:
        """limit: octets of a line, CR LF included."""
        self._limit: Final = limit
        self._buffer = b""
        self._position = 0
        self._is_overlong = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return self._position == len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes the next octets."""
        self._buffer = data if self.is_empty else self._buffer[self._position :] + data
        self._position = 0

    def take(self) -> bytes:
        """Gives all octets that wait, whatever they are."""
        taken = self._buffer[self._position :]
        self.clear()
        return taken

    def take_some(self, most: int) -> bytes:
        """Gives the octets that wait, so many at most."""
        taken = self._buffer[self._position : self._position + most]
        self._position += len(taken)
        return taken

    def clear(self) -> None:
        """Drops the octets that wait."""
        self._buffer = b""
        self._position = 0

    def starts_with(self, verb: bytes) -> bool:
        """Whether the next line starts with a verb, in any case. verb: in capitals."""
        return self._buffer[self._position : self._position + len(verb)].upper() == verb

    def next(self) -> bytes | Reply | None:
        """The next whole line without its CR LF; the reply to a line that is none; None where its end has not come."""
        end = self._buffer.find(b"\n", self._position)
        if end < 0:
            if len(self._buffer) - self._position > self._limit:
                self._is_overlong = True
                self.clear()
            return None
        line = self._buffer[self._position : end + 1]
        self._position = end + 1
        if self._is_overlong or len(line) > self._limit:
            self._is_overlong = False
            return replies.LINE_TOO_LONG
        if line[-2:] != b"\r\n" or line.count(b"\r") != 1:
            return replies.BARE_NEWLINE
        return line[:-2]
