"""Where one IMAP command ends: lines and literals, before anything is understood. RFC 9051 §2.2.1, RFC 7888.

It knows octets, budgets and the one command whose literal is not kept in memory (APPEND). The rule: whatever is
wrong with a command, the next one starts where the client thinks that it starts; where that cannot be kept within
the bounds, the event says `fatal` and the connection ends.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace

_LITERAL = re.compile(rb"~?\{(\d{1,20})(\+?)\}\Z")
_APPEND = re.compile(rb"[^ ]{1,1000} APPEND ", re.IGNORECASE)
_TAG = re.compile(rb"[\x21\x23\x24\x26\x27\x2c-\x5b\x5d-\x7a\x7c\x7e]{1,1000}(?= )")
_LONGEST_MARK = 24


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets: the longest line, the largest command with its literals, the largest message that APPEND may bring.

    `discard` bounds what is read and thrown away after a refusal before the connection is ended instead.
    """

    line: int = 8 * 1024
    command: int = 64 * 1024
    message: int = 0
    discard: int = 256 * 1024

    def logged_in(self, message: int) -> Limits:
        """The budgets of a client that has logged in; `message` is the largest letter in octets."""
        command = 1024 * 1024
        return replace(
            self, line=command, command=command, message=message, discard=16 * command + 2 * message
        )


@dataclass(frozen=True, slots=True)
class Command:
    """One whole command without its last line end; literals stand in it as they came, `{5}` line end, octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Continue:
    """The client waits for `+` before it sends a literal that fits the budget."""


@dataclass(frozen=True, slots=True)
class MessageStart:
    """APPEND up to the mark of its message literal; nothing more is read until `accept` or `refuse`."""

    octets: bytes
    size: int
    synchronizing: bool


@dataclass(frozen=True, slots=True)
class MessageChunk:
    """Octets of an accepted message, in order."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """What follows the message on the rest of its command: empty where the client keeps to the grammar."""

    rest: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that was read past and not understood; `fatal` where the place of the next one is unknown."""

    tag: bytes
    text: str
    fatal: bool = False


Event = Command | Continue | MessageStart | MessageChunk | MessageEnd | Refused
_Frames = Generator[Event | None, None, None]


class _TooLong(Exception):
    """A line outgrew its bound; its first octets and its last are kept."""

    def __init__(self, head: bytes, tail: bytes) -> None:
        self.head = head
        self.tail = tail


class Framing:
    """Takes octets in any pieces and gives events; `None` from `next_event` asks for more octets."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._buffer = bytearray()
        self._scanned = 0
        self._accepted: bool | None = None
        self._machine = self._run()

    def receive(self, octets: bytes) -> None:
        """Adds what the socket gave."""
        self._buffer += octets

    def next_event(self) -> Event | None:
        """The next event, or None when it needs more octets."""
        return next(self._machine)

    def next_line(self, limit: int) -> bytes | None:
        """One raw line without its end (AUTHENTICATE's answers, IDLE's DONE), or None. Never longer than `limit`.

        Asked for only between commands. Raises ValueError once a longer line has gone by the bound.
        """
        end = self._buffer.find(b"\n", self._scanned)
        self._scanned = len(self._buffer) if end < 0 else end
        if self._scanned > limit + 1:
            raise ValueError("line too long")
        return None if end < 0 else self._cut(end)

    @property
    def waiting(self) -> int:
        """Octets received and not yet part of an event."""
        return len(self._buffer)

    def discard(self) -> None:
        """Forgets what was received (STARTTLS, CVE-2011-0411)."""
        self._buffer.clear()
        self._scanned = 0

    def accept(self) -> None:
        """Lets the message of the last MessageStart in; the caller has sent `+` where it is synchronizing."""
        self._accepted = True

    def refuse(self) -> None:
        """Reads past the message of the last MessageStart; the caller answers the command."""
        self._accepted = False

    # --- the machine; it reads from the top down, and yields None where it needs octets

    def _run(self) -> _Frames:
        while True:
            try:
                yield from self._command()
            except _TooLong as long:
                yield from self._skip(long.tail, _tag(long.head), "Command line too long")

    def _command(self) -> _Frames:
        octets = bytearray((yield from self._line(self.limits.line)))
        start = 0  # a mark that begins before this is the content of a literal
        while mark := _LITERAL.search(octets, max(start, len(octets) - _LONGEST_MARK)):
            size, synchronizing = int(mark[1]), not mark[2]
            if _is_message(octets, mark.start()):
                yield from self._message(bytes(octets), size, synchronizing)
                return
            if len(octets) + size > self.limits.command:
                yield from self._skip(mark[0], _tag(octets), "Command too large")
                return
            octets += b"\r\n"
            if synchronizing:
                yield Continue()
            while len(self._buffer) < size:
                yield None
            octets += self._take(size)
            start = len(octets)
            octets += yield from self._line(self.limits.line, octets)
            if len(octets) > self.limits.command:
                tail = bytes(octets[max(start, len(octets) - _LONGEST_MARK) :])
                yield from self._skip(tail, _tag(octets), "Command too large")
                return
        yield Command(bytes(octets))

    def _message(self, octets: bytes, size: int, synchronizing: bool) -> _Frames:
        self._accepted = None
        yield MessageStart(octets, size, synchronizing)
        if not self._is_accepted():
            if not synchronizing:
                yield from self._skip(b"{%d+}" % size, b"", "")
            return
        left = size
        while left:
            if not self._buffer:
                yield None
                continue
            chunk = self._take(min(left, len(self._buffer)))
            left -= len(chunk)
            yield MessageChunk(chunk)
        rest = yield from self._line(self.limits.line)
        if mark := _LITERAL.search(rest):
            yield from self._skip(mark[0], b"", "")
        yield MessageEnd(rest)

    def _is_accepted(self) -> bool:
        if self._accepted is None:
            raise RuntimeError("a message waits for accept or refuse")
        return self._accepted

    def _skip(self, tail: bytes, tag: bytes, text: str) -> _Frames:
        """Reads to the end of the command whose last octets are `tail`, keeping nothing; an empty text is silent."""
        budget = self.limits.discard
        while (mark := _LITERAL.search(tail)) and mark[2]:
            left = int(mark[1])
            budget -= left
            if budget < 0:
                yield Refused(tag, "Literal too large", fatal=True)
                return
            while left:
                if not self._buffer:
                    yield None
                    continue
                left -= len(self._take(min(left, len(self._buffer))))
            try:
                tail = yield from self._line(self.limits.line)
            except _TooLong as long:
                tail = long.tail
            budget -= len(tail)
        if text:
            yield Refused(tag, text)

    def _line(self, limit: int, before: bytes | bytearray = b"") -> Generator[Event | None, None, bytes]:
        """The next line without its end. Raises _TooLong when it has been read past."""
        while (end := self._buffer.find(b"\n", self._scanned)) < 0:
            self._scanned = len(self._buffer)
            if self._scanned > limit + 2:
                break
            yield None
        if 0 <= end <= limit + 1:
            return self._cut(end)
        head = bytes((before or self._buffer)[: min(limit, 1000)])
        tail, left = b"", limit + self.limits.discard
        while (end := self._buffer.find(b"\n", self._scanned)) < 0:
            left -= len(self._buffer)
            tail = (tail + self._take(len(self._buffer)))[-_LONGEST_MARK - 2 :]
            if left < 0:
                yield Refused(_tag(head), "Command line too long", fatal=True)
            yield None
        if end > left:
            yield Refused(_tag(head), "Command line too long", fatal=True)
        raise _TooLong(head, _without_end(tail + self._take(end + 1))[-_LONGEST_MARK:])

    def _cut(self, end: int) -> bytes:
        return _without_end(self._take(end + 1))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._scanned = 0
        return taken


def _without_end(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]


def _is_message(octets: bytearray, mark: int) -> bool:
    """Whether the literal at `mark` is APPEND's message: something (the mailbox) stands before it. RFC 9051 §6.3.12."""
    verb = _APPEND.match(octets)
    return verb is not None and bool(octets[verb.end() : mark].strip())


def _tag(octets: bytes | bytearray) -> bytes:
    """The command's tag, or `*` where it has none that may be repeated."""
    found = _TAG.match(octets)
    return found[0] if found else b"*"
