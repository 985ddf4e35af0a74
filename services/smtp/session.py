"""One SMTP connection: it drives the state machine, asks the store and answers. RFC 5321 §4.

It knows what each event means here. The rule: 250 to a letter is said after `deliver` returned and never before; and
whatever was read, its answers are written together, once all of it was handled.
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter

from services.mail.errors import MailError, RecipientUnknown, StoreUnavailable
from services.mail.smtp import replies
from services.mail.smtp.commands import (
    Bdat,
    Data,
    Ehlo,
    Hello,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    State,
    Vrfy,
)
from services.mail.smtp.paths import Path
from services.mail.smtp.replies import Reply
from services.mail.smtp.server import (
    BodyChunk,
    BodyEnd,
    BodyRefused,
    ChunkEnd,
    Event,
    Limits,
    Refused,
    ServerConnection,
)
from services.mail.store import Store
from services.mail.store.accounts import Recipient
from services.mail.store.deliveries import Mode
from services.plumbing import logs, metrics
from services.plumbing.net.connection import Connection
from services.smtp.letter import IncomingLetter
from services.smtp.refusals import Refusals
from services.smtp.settings import Settings
from services.smtp.trace import Origin, protocol

log = logs.get(__name__)


class Session:
    """A connection and what it has said so far."""

    def __init__(
        self,
        connection: Connection,
        store: Store,
        settings: Settings,
        refusals: Refusals,
        *,
        is_lmtp: bool = False,
    ) -> None:
        self._connection = connection
        self._store = store
        self._settings = settings
        self._refusals = refusals
        limits = Limits(settings.message_octets, settings.recipients, settings.line_octets)
        self._machine = ServerConnection(
            limits,
            offers_tls=connection.has_tls,
            normalises=settings.normalise_newlines,
            is_lmtp=is_lmtp,
        )
        self._is_lmtp = is_lmtp
        name = "lmtp" if is_lmtp else "smtp"
        self._stored = metrics.letters.labels(protocol=name, outcome="stored")
        self._refused = metrics.letters.labels(protocol=name, outcome="refused")
        self._octets = metrics.letter_octets.labels(protocol=name)
        self._hostname = ""
        self._letter: IncomingLetter | None = None
        self._error: MailError | None = None
        self._replies: list[bytes] = []
        self._errors = 0
        self._letters = 0
        self._is_stopping = False
        self._body_started = 0.0

    async def run(self) -> None:
        """Talks until one side has had enough."""
        try:
            if await self._greet():
                await self._converse()
        except TimeoutError:
            self._say(replies.TIMED_OUT)
        finally:
            await self._forget_letter()
            self._write()
            log.info(
                "session ended", peer=self._connection.peer[0], letters=self._letters, errors=self._errors,
                tls=self._connection.is_tls,
            )  # fmt: skip

    def stop(self) -> None:
        """The process stops: a letter that is coming in may end, the next command is answered 421. RFC 5321 §3.8."""
        self._is_stopping = True
        if not self._machine.is_in_letter:
            self._connection.end_reading()

    async def _greet(self) -> bool:
        if self._is_lmtp and not self._settings.lmtp_trusted.holds(self._connection.peer[0]):
            log.warning("not trusted to speak LMTP", peer=self._connection.peer[0])
            self._say(replies.NOT_TRUSTED)
            return False
        if self._settings.greet_seconds and not self._is_lmtp:
            await asyncio.sleep(self._settings.greet_seconds)
        if self._connection.buffered():
            log.warning("spoke before the greeting", peer=self._connection.peer[0])
            self._say(replies.TOO_SOON)
            return False
        greeting = replies.lmtp_greeting if self._is_lmtp else replies.greeting
        self._connection.write(greeting(self._settings.hostname).octets)
        return True

    async def _converse(self) -> None:
        machine, connection = self._machine, self._connection
        while machine.state is not State.CLOSED:
            if self._is_stopping and not machine.is_in_letter:
                self._say(replies.SHUTTING_DOWN)
                return
            data = await connection.read(self._patience())
            if not data:
                if self._is_stopping:
                    self._say(replies.SHUTTING_DOWN)
                return
            for event in machine.receive(data):
                await self._handle(event)
            await self._flush()

    def _patience(self) -> float:
        """Seconds to wait for the next octets: the idle time, or less where a letter comes too slowly."""
        idle = self._settings.idle_seconds
        if not self._body_started:
            return idle
        size = self._letter.size if self._letter else 0
        allowed = idle + size / self._settings.data_octets_per_second
        return max(0.0, min(idle, allowed - (perf_counter() - self._body_started)))

    # Answers

    def _say(self, reply: Reply) -> None:
        if reply.is_permanent and not self._is_lmtp:
            self._errors += 1
            if self._errors >= self._settings.most_errors:
                log.warning("too many errors", peer=self._connection.peer[0])
                reply = replies.TOO_MANY_ERRORS
        self._replies.append(self._machine.send(reply))

    def _write(self) -> None:
        if self._replies:
            self._connection.write(b"".join(self._replies))
            self._replies.clear()

    async def _flush(self) -> None:
        excess = self._errors - self._settings.slow_errors
        if excess >= 0 and self._replies and self._settings.error_seconds:
            await asyncio.sleep(min(excess + 1, 10) * self._settings.error_seconds)
        self._write()
        await self._connection.drain(self._settings.idle_seconds)

    # Events

    async def _handle(self, event: Event) -> None:
        match event:
            case BodyChunk():
                await self._take(event.octets)
            case BodyRefused():
                await self._refuse(event.error)
            case BodyEnd():
                await self._deliver(event)
            case Rcpt():
                await self._resolve([event, *self._machine.more_recipients()])
            case Mail():
                self._error = None
                mode = Mode.EACH if self._is_lmtp else Mode.ALL
                self._letter = IncomingLetter(event, self._origin(event), self._store, mode)
                self._say(replies.SENDER_OK)
            case Data():
                self._begin_body()
                self._say(replies.SEND_DATA)
            case Bdat():
                self._begin_body()
            case ChunkEnd():
                error = event.error or self._error
                self._say(replies.refusal(error) if error else replies.chunk_taken(event.size))
            case Refused():
                self._say(event.reply)
            case StartTls():
                await self._start_tls()
            case _:
                await self._handle_rare(event)

    async def _handle_rare(self, event: Event) -> None:
        match event:
            case Hello():
                await self._forget_letter()
                self._hostname = event.hostname
                keywords = self._machine.keywords() if isinstance(event, Ehlo) else ()
                self._say(replies.hello(self._settings.hostname, keywords))
            case Quit():
                self._say(replies.BYE)
            case Rset():
                await self._forget_letter()
                self._say(replies.RESET)
            case Noop():
                self._say(replies.NOTHING_DONE)
            case Vrfy():
                self._say(replies.CANNOT_VERIFY)
            case Help():
                self._say(replies.HELP)

    def _origin(self, mail: Mail) -> Origin:
        word = protocol(
            is_esmtp=self._machine.is_esmtp,
            is_tls=self._connection.is_tls,
            smtputf8=mail.smtputf8,
            is_lmtp=self._is_lmtp,
        )
        return Origin(self._hostname, self._connection.peer[0], self._settings.hostname, word)

    async def _start_tls(self) -> None:
        await self._forget_letter()
        self._say(replies.READY_FOR_TLS)
        octets = b"".join(self._replies)
        self._replies.clear()
        await self._connection.start_tls(octets)

    async def _forget_letter(self) -> None:
        self._body_started = 0.0
        if self._letter is not None:
            letter, self._letter = self._letter, None
            await letter.abandon()

    # Recipients

    async def _resolve(self, group: list[Rcpt]) -> None:
        letter = self._letter
        assert letter is not None
        if len(group) == 1:
            found: list[Sequence[Recipient] | Exception] = [
                await self._find(group[0].recipient, letter.mail.size)
            ]
        else:
            found = list(
                await asyncio.gather(*(self._find(each.recipient, letter.mail.size) for each in group))
            )
        for each, recipients in zip(group, found, strict=True):
            if self._machine.state is State.CLOSED:
                return
            try:
                if isinstance(recipients, Exception):
                    raise recipients
                letter.add_recipients(each, recipients)
            except Exception as refusal:  # noqa: BLE001 — `_find` has reported what is no refusal
                reply = replies.refusal(refusal)
                self._say(reply)
                self._refusals.note(self._connection.peer[0], letter.mail.sender, each.recipient, reply)
            else:
                self._say(replies.RECIPIENT_OK)

    async def _find(self, path: Path, size: int) -> Sequence[Recipient] | Exception:
        """Who an address is, or why it is refused. <postmaster> without a domain is ours. RFC 5321 §4.5.1."""
        resolve = self._store.accounts.resolve
        try:
            if path.domain:
                return await resolve(str(path), size)
            try:
                return await resolve(
                    self._settings.postmaster or f"postmaster@{self._settings.hostname}", size
                )
            except RecipientUnknown:
                return await resolve("postmaster", size)
        except MailError as error:
            if isinstance(error, StoreUnavailable):
                log.warning("recipient not resolved", reason=error.text)
            return error
        except Exception as error:  # noqa: BLE001 — a bug costs this recipient a temporary refusal, not the session
            self._report(error)
            return error

    # The letter

    def _begin_body(self) -> None:
        """The message comes from now on; its later chunks have no new start."""
        self._body_started = self._body_started or perf_counter()

    async def _take(self, octets: bytes) -> None:
        letter = self._letter
        if letter is None or self._error is not None:
            return
        try:
            await letter.add(octets)
        except MailError as error:
            await self._refuse(error)

    async def _refuse(self, error: MailError) -> None:
        """The end of the body is waited for all the same, and answered with this."""
        self._error = error
        if self._letter is not None:
            await self._letter.abandon()

    async def _deliver(self, end: BodyEnd) -> None:
        letter, self._letter = self._letter, None
        assert letter is not None
        self._body_started = 0.0
        started = perf_counter()
        try:
            error = end.error or self._error
            if error is not None:
                raise error
            delivered = await letter.deliver()
        except MailError as refused:
            outcomes = [replies.refusal(refused)] * len(letter.paths)
            log.info("letter refused", letter=letter.id, size=end.size, reason=type(refused).__name__)
        except Exception as bug:  # noqa: BLE001 — the client keeps the letter and tries again
            outcomes = [replies.refusal(bug)] * len(letter.paths)
            self._report(bug)
        else:
            stored = replies.accepted(letter.id)
            outcomes = [
                replies.refusal(refused) if refused else stored for refused in letter.refusals(delivered)
            ]
            log.info(
                "letter stored", letter=letter.id, size=letter.size, recipients=letter.recipients,
                repeated=delivered.is_repeated, seconds=round(perf_counter() - started, 4),
            )  # fmt: skip
        finally:
            await letter.abandon()
        self._say_outcomes(letter, outcomes)

    def _say_outcomes(self, letter: IncomingLetter, outcomes: Sequence[Reply]) -> None:
        """One of each recipient that was taken; SMTP hears one for all, which is the same for each."""
        if any(outcome.is_positive for outcome in outcomes):
            self._stored.inc()
            self._octets.inc(letter.size)
            self._letters += 1
            self._errors = 0
        else:
            self._refused.inc()
        for path, outcome in zip(letter.paths, outcomes, strict=True):
            if not outcome.is_positive:
                self._refusals.note(self._connection.peer[0], letter.mail.sender, path, outcome, letter.size)
        if self._is_lmtp:
            self._replies.append(self._machine.send_each(outcomes))
        else:
            self._say(outcomes[0])

    def _report(self, bug: Exception) -> None:
        metrics.bugs.inc()
        log.error("session failed", exc_info=bug)
