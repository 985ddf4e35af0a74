"""One POP3 session as a state machine: octets in, commands out. RFC 1939 §3.

Rule: a bad line never takes the next one with it, and lines are bounded whatever the peer sends. The door
answers each command before it asks for the next, so replies come in the order of commands (PIPELINING, RFC
2449 §6.6).
"""

from collections.abc import Iterator
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.pop3.commands import Command, State, parse
from services.mail.sasl.exchange import LONGEST_LINE

# RFC 2449 §4 asks for at least 255 octets; passwords may be long.
MAX_LINE: Final = 1024
BAD_BEFORE_LOGIN: Final = 5
BAD_AFTER_LOGIN: Final = 20
# Octets of a line that is looked at before its turn.
LONGEST_RETR: Final = 40
READ_PAST: Final = frozenset((b"DELE", b"NOOP"))


class Connection:
    """What one peer said so far.

    user: the login that USER named, b"" for none. is_utf8: whether it gave UTF8; that must not come before TLS begins.
    """

    __slots__ = ("_bad", "_buffer", "_is_overlong", "_position", "is_utf8", "state", "user")

    def __init__(self) -> None:
        self.state = State.AUTHORIZATION
        self.user = b""
        self.is_utf8 = False
        self._buffer = b""
        self._position = 0
        self._is_overlong = False
        self._bad = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether the peer was wrong so often that the session ends."""
        return self._bad >= (BAD_BEFORE_LOGIN if self.state is State.AUTHORIZATION else BAD_AFTER_LOGIN)

    def receive(self, data: bytes) -> None:
        """Takes octets as they came."""
        self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def next(self) -> Command | None:
        """The next command, or None where its line has not come whole.

        Raises ProtocolError for a line that is none; the next call goes on behind it.
        """
        try:
            line = self._line(MAX_LINE)
            return None if line is None else parse(line, self.state)
        except ProtocolError:
            self.count_bad()
            raise

    def answer(self) -> bytes | None:
        """The next line as it is, for an AUTH that asked for it, or None where it has not come whole. RFC 5034 §4.

        Raises ProtocolError for one that is longer than any answer; the next call goes on behind it.
        """
        return self._line(LONGEST_LINE)

    def _line(self, limit: int) -> bytes | None:
        """The next line without its end; with its LF it has at most so many octets."""
        end = self._buffer.find(b"\n", self._position)
        if end < 0:
            if len(self._buffer) - self._position > limit:
                self._is_overlong = True
                self._buffer, self._position = b"", 0
            return None
        line = self._buffer[self._position : end]
        self._position = end + 1
        is_overlong, self._is_overlong = self._is_overlong or len(line) >= limit, False
        if is_overlong:
            raise ProtocolError("line too long")
        return line.removesuffix(b"\r")

    def upcoming(self) -> Iterator[int]:
        """The message numbers of the RETR commands that wait in line, without taking them.

        Between them may be what a client says once it has read a message: DELE, NOOP.
        """
        position = self._position
        while (end := self._buffer.find(b"\n", position, position + LONGEST_RETR)) >= 0:
            verb, _, rest = self._buffer[position:end].partition(b" ")
            verb, number = verb.strip().upper(), rest.strip()
            if verb == b"RETR" and number.isdigit():
                yield int(number)
            elif verb not in READ_PAST:
                return
            position = end + 1

    def count_bad(self) -> None:
        """Counts a command that was wrong: a failed login, or what next() refused."""
        self._bad += 1

    def log_in(self) -> None:
        """Goes over to the TRANSACTION state."""
        self.state = State.TRANSACTION
        self.user = b""
        self._bad = 0

    def reset(self) -> None:
        """Forgets all that was said in plain text, octets not yet taken included. RFC 2595 §4."""
        self.user = b""
        self._buffer, self._position, self._is_overlong = b"", 0, False
