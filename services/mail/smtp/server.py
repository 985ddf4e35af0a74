"""The server's side of an SMTP connection: octets in, events out, replies back in. RFC 5321 §4.1.4, RFC 2920.

It knows which command may follow which, where a line and a message end, and what was announced. The rule: an event is
answered with `send` before the next one is asked for, since the answer decides what the octets behind it mean; only
recipients that arrived together may be looked at together (`more_recipients`).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.mail.errors import InvalidAddress, LimitExceeded, MailError, MessageTooLarge
from services.mail.smtp import commands, replies
from services.mail.smtp.body import BodyScanner
from services.mail.smtp.commands import (
    Command,
    Data,
    Ehlo,
    Hello,
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


Event = Command | Refused | BodyChunk | BodyRefused | BodyEnd

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

    def __init__(self, limits: Limits, *, offers_tls: bool = False, normalises: bool = False) -> None:
        """offers_tls: whether STARTTLS is announced. normalises: see `BodyScanner`."""
        self.limits = limits
        self.state = State.START
        self.is_esmtp = False
        self.is_tls = False
        self.smtputf8 = False
        self._offers_tls = offers_tls
        self._normalises = normalises
        self._lines = Lines(limits.line)
        self._body: BodyScanner | None = None
        self._recipients = 0
        self._ahead: Command | Refused | None = None
        self._unanswered: deque[Command | Refused | BodyEnd] = deque()

    def keywords(self) -> tuple[str, ...]:
        """What EHLO announces now, in this state of the connection. RFC 5321 §4.1.1.1."""
        starttls = ("STARTTLS",) if self._offers_tls and not self.is_tls else ()
        return (
            "PIPELINING",
            f"SIZE {self.limits.message}",
            *starttls,
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            f"LIMITS RCPTMAX={self.limits.recipients}",
            "HELP",
        )

    def receive(self, data: bytes) -> Iterator[Event]:
        """Takes the next octets and gives their events, one at a time; to be exhausted before it is called again."""
        self._lines.feed(data)
        while self.state is not State.CLOSED:
            if self._body is not None:
                if not self._lines.is_empty:
                    yield from self._receive_body(self._body)
                if self._body is not None:
                    return
            event = self._next_command()
            if event is None:
                return
            self._unanswered.append(event)
            yield event

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
        elif isinstance(event, BodyEnd):
            self.state = State.READY
        elif isinstance(event, Refused):
            if event.is_fatal:
                self.state = State.CLOSED
        elif event is not None and reply.is_positive:
            self._advance(event)
        return reply.octets

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
                self.is_esmtp = isinstance(command, Ehlo)
            case Rset():
                self.state = min(self.state, State.READY)
            case StartTls():
                # What was sent in plain text behind the command never happened (CVE-2011-0411).
                self._lines.clear()
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
            return Refused(replies.NOT_SMTP, is_fatal=True) if is_http else Refused(malformed.reply)
        if not (self.is_esmtp or self._lines.is_empty or isinstance(command, StartTls | Quit)):
            return Refused(replies.TOO_SOON, is_fatal=True)
        reply = self._objection(command)
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
                return replies.SAY_HELLO
            return replies.NO_RECIPIENTS if self.state is State.SENDER else replies.SAY_MAIL
        match command:
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
