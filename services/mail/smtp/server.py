"""The server's side of an SMTP connection: octets in, events out, replies back in. RFC 5321 §4.1.4, RFC 2920.

It knows which command may follow which, where a line and a message end, and what was announced. The rule: an event is
answered with `send` before the next one is asked for, since the answer decides what the octets behind it mean; only
recipients that arrived together may be looked at together (`more_recipients`).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.mail.errors import InvalidAddress, LimitExceeded, MailError, MessageTooLarge
from services.mail.smtp import commands, replies
from services.mail.smtp.body import BodyScanner, ChunkScanner
from services.mail.smtp.commands import (
    Bdat,
    Command,
    Data,
    Ehlo,
    Hello,
    Lhlo,
    Mail,
    Malformed,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    State,
)
from services.mail.smtp.framing import Lines
from services.mail.smtp.replies import Reply


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection may bring: octets of a message, recipients of a letter, octets of a command line with CR LF."""

    message: int = 100 * 1024 * 1024
    recipients: int = 100
    line: int = 2048


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that was not understood or not allowed: `reply` is to be sent, and the connection closed if fatal."""

    reply: Reply
    is_fatal: bool = False


@dataclass(frozen=True, slots=True)
class BodyChunk:
    """The next octets of the message, as it will be kept. Not answered."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class BodyRefused:
    """The message cannot be taken, and no more chunks of it come; its end does. Not answered."""

    error: MailError


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """The message is whole: `size` octets. error: the refusal that its answer has to be."""

    size: int
    error: MailError | None


@dataclass(frozen=True, slots=True)
class ChunkEnd:
    """A chunk of `size` octets that is not the last is here. error: as of a BodyEnd. RFC 3030 §2."""

    size: int
    error: MailError | None


Event = Command | Refused | BodyChunk | BodyRefused | ChunkEnd | BodyEnd


@dataclass(slots=True)
class _Chunk:
    """A chunk that comes in. left: octets; refusal: of a chunk that nobody asked for, which goes by all the same."""

    command: Bdat
    left: int
    refusal: Reply | None


_HTTP: Final = frozenset(
    {
        b"GET",
        b"POST",
        b"PUT",
        b"HEAD",
        b"DELETE",
        b"OPTIONS",
        b"CONNECT",
        b"PATCH",
        b"TRACE",
        b"HOST:",
        b"USER-AGENT:",
    }
)


class ServerConnection:
    """One connection's state. `state`, `is_esmtp` and `smtputf8` may be read and are changed by `send` alone."""

    def __init__(
        self, limits: Limits, *, offers_tls: bool = False, normalises: bool = False, is_lmtp: bool = False
    ) -> None:
        """offers_tls: whether STARTTLS is announced. normalises: see `BodyScanner`. is_lmtp: RFC 2033."""
        self.limits = limits
        self.is_lmtp = is_lmtp
        self.state = State.START
        self.is_esmtp = False
        self.is_tls = False
        self.smtputf8 = False
        self._offers_tls = offers_tls
        self._normalises = normalises
        self._lines = Lines(limits.line)
        self._body: BodyScanner | None = None
        self._chunks: ChunkScanner | None = None
        self._chunk: _Chunk | None = None
        self._recipients = 0
        self._ahead: Command | Refused | None = None
        self._unanswered: deque[Command | Refused | ChunkEnd | BodyEnd] = deque()

    @property
    def is_in_letter(self) -> bool:
        """Whether content is coming in, or has begun to by BDAT and is not whole."""
        return self.state in {State.CHUNKS, State.BODY}

    def keywords(self) -> tuple[str, ...]:
        """What EHLO announces now, in this state of the connection. RFC 5321 §4.1.1.1."""
        starttls = ("STARTTLS",) if self._offers_tls and not self.is_tls else ()
        return (
            "PIPELINING",
            f"SIZE {self.limits.message}",
            *starttls,
            "8BITMIME",
            "CHUNKING",
            "SMTPUTF8",
            "DSN",
            "ENHANCEDSTATUSCODES",
            f"LIMITS RCPTMAX={self.limits.recipients}",
            "HELP",
        )

    def receive(self, data: bytes) -> Iterator[Event]:
        """Takes the next octets and gives their events, one at a time; to be exhausted before it is called again."""
        self._lines.feed(data)
        while self.state is not State.CLOSED:
            if self._is_in_message():
                yield from self._receive_message()
                if self._is_in_message():
                    return
                continue  # unless the answer to it was the last
            event = self._next_command()
            if event is not None:
                if not isinstance(event, Bdat):  # which is answered when its octets are here
                    self._unanswered.append(event)
                yield event
            elif not self._is_in_message():
                return

    def _is_in_message(self) -> bool:
        """Whether the next octets are a message's, or go by with a chunk that was refused."""
        return self._body is not None or self._chunk is not None

    def more_recipients(self) -> list[Rcpt]:
        """Behind a `Rcpt` event: the RCPT commands that are here already, as many as may still be accepted.

        They are answered with `send` in their order, behind the first.
        """
        more: list[Rcpt] = []
        room = self.limits.recipients - self._recipients - len(self._unanswered)
        while (
            self.is_esmtp and len(more) < room and self._ahead is None and self._lines.starts_with(b"RCPT ")
        ):
            event = self._next_command()
            if isinstance(event, Rcpt):
                self._unanswered.append(event)
                more.append(event)
            else:
                self._ahead = event
                break
        return more

    def send(self, reply: Reply) -> bytes:
        """Answers the oldest event that waits for it, and gives the octets for the wire; 421 ends the connection."""
        event = self._unanswered.popleft() if self._unanswered else None
        if reply.code == 421:
            self.state = State.CLOSED
        elif isinstance(event, ChunkEnd):
            self.state = State.CHUNKS
        elif isinstance(event, BodyEnd):
            self._chunks = None
            self.state = State.READY
        elif isinstance(event, Refused):
            if event.is_fatal:
                self.state = State.CLOSED
        elif event is not None and reply.is_positive:
            self._advance(event)
        return reply.octets

    def send_each(self, outcomes: Sequence[Reply]) -> bytes:
        """Answers the end of a message for each recipient that was taken, in their order. RFC 2033 §4.2."""
        *others, last = outcomes
        return b"".join(reply.octets for reply in others) + self.send(last)

    def _advance(self, command: Command) -> None:
        if command.leads_to is not None:
            self.state = command.leads_to
        match command:
            case Rcpt():
                self._recipients += 1
            case Mail():
                self._recipients = 0
                self.smtputf8 = command.smtputf8
            case Data():
                self._body = BodyScanner(self.limits.message, normalises=self._normalises)
            case Hello():
                self._chunks = None
                self.is_esmtp = isinstance(command, Ehlo)
            case Rset():
                self._chunks = None
                self.state = min(self.state, State.READY)
            case StartTls():
                # What was sent in plain text behind the command never happened (CVE-2011-0411).
                self._lines.clear()
                self._chunks = None
                self.is_tls = True
                self.is_esmtp = False

    def _next_command(self) -> Command | Refused | None:
        if self._ahead is not None:
            event, self._ahead = self._ahead, None
            return event
        line = self._lines.next()
        if line is None:
            return None
        if isinstance(line, Reply):
            return Refused(line)
        try:
            command = commands.parse(line)
        except Malformed as malformed:
            is_http = line[:12].partition(b" ")[0].upper() in _HTTP
            if is_http:
                return Refused(replies.NOT_SMTP, is_fatal=True)
            # Nobody knows how many octets follow, and they are not to be read as commands.
            return Refused(malformed.reply, is_fatal=malformed.reply is replies.BAD_BDAT)
        if not (self.is_esmtp or self._lines.is_empty or isinstance(command, StartTls | Quit)):
            return Refused(replies.TOO_SOON, is_fatal=True)
        reply = self._objection(command)
        if isinstance(command, Bdat):
            return self._begin_chunk(command, reply)
        if reply is None:
            return command
        if isinstance(command, Data) and not self._lines.is_empty:
            # A message that was sent without waiting for 354 would be read as commands.
            return Refused(replies.TOO_SOON, is_fatal=True)
        return Refused(reply)

    def _objection(self, command: Command) -> Reply | None:
        """Why a command is not allowed now; None where it is."""
        if self.state < command.allowed_from:
            if self.state is State.START:
                return replies.SAY_LHLO if self.is_lmtp else replies.SAY_HELLO
            if self.state is not State.SENDER:
                return replies.SAY_MAIL
            return replies.NO_RECIPIENT_TAKEN if self.is_lmtp else replies.NO_RECIPIENTS
        match command:
            case Hello() if self.is_lmtp is not isinstance(command, Lhlo):
                return replies.SAY_LHLO if self.is_lmtp else replies.NOT_IMPLEMENTED
            case Data() | Rcpt() if self.state is State.CHUNKS:
                return replies.CHUNKS_BEGUN
            case Rcpt():
                return self._objection_to_recipient(command)
            case Mail() if self.state is not State.READY:
                return replies.MAIL_ALREADY
            case Mail() if command.size > self.limits.message:
                return replies.refusal(MessageTooLarge())
            case StartTls() if self.is_tls:
                return replies.TLS_ALREADY
            case StartTls() if not self._offers_tls:
                return replies.NOT_IMPLEMENTED
        return None

    def _objection_to_recipient(self, command: Rcpt) -> Reply | None:
        if self._recipients >= self.limits.recipients:
            return replies.refusal(LimitExceeded("Too many recipients for one letter"))
        if not (self.smtputf8 or command.recipient.is_ascii):
            return replies.NEEDS_SMTPUTF8
        if command.recipient.is_relay_attempt:
            return replies.refusal(InvalidAddress("An address inside an address is not taken"))
        return None

    def _begin_chunk(self, command: Bdat, refusal: Reply | None) -> Bdat | Refused | None:
        """The event of a chunk that begins; None where its octets are to go by first."""
        self._chunk = _Chunk(command, command.size, refusal)
        if refusal is not None:
            return None
        if self._chunks is None:
            self._chunks = ChunkScanner(self.limits.message, normalises=self._normalises)
        self._chunks.announce(command.size)
        self.state = State.BODY
        return command

    def _receive_message(self) -> Iterator[Event]:
        if self._chunk is not None:
            yield from self._receive_chunk(self._chunk)
        elif self._body is not None and not self._lines.is_empty:
            yield from self._receive_body(self._body)

    def _receive_chunk(self, chunk: _Chunk) -> Iterator[Event]:
        octets = self._lines.take_some(chunk.left)
        chunk.left -= len(octets)
        is_whole = not chunk.left
        if chunk.refusal is not None:
            if not is_whole:
                return
            self._chunk = None
            # LMTP answers the last chunk once for each recipient that was taken: here never. RFC 2033 §4.3.
            if not (self.is_lmtp and chunk.command.is_last):
                refused = Refused(chunk.refusal)
                self._unanswered.append(refused)
                yield refused
            return
        scanner = self._chunks
        assert scanner is not None
        content = scanner.feed(octets, is_end=is_whole and chunk.command.is_last)
        if content:
            yield BodyChunk(content)
        if scanner.refusal is not None and not scanner.is_told:
            scanner.is_told = True
            yield BodyRefused(scanner.refusal)
        if is_whole:
            self._chunk = None
            end: ChunkEnd | BodyEnd
            if chunk.command.is_last:
                end = BodyEnd(scanner.size, scanner.refusal)
            else:
                end = ChunkEnd(chunk.command.size, scanner.refusal)
            self._unanswered.append(end)
            yield end

    def _receive_body(self, body: BodyScanner) -> Iterator[Event]:
        was_refused = body.refusal is not None
        content = body.feed(self._lines.take())
        if content:
            yield BodyChunk(content)
        if body.refusal is not None and not was_refused:
            yield BodyRefused(body.refusal)
        if body.is_ended:
            self._body = None
            self._lines.feed(body.rest)
            end = BodyEnd(body.size, body.refusal)
            self._unanswered.append(end)
            yield end
