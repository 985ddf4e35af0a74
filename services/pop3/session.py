"""One POP3 session: each command is answered from the maildrop or the store. RFC 1939.

Rule: only QUIT removes messages, in one transaction that names the maildrop lock; a session that ends in any
other way changes nothing. A multi-line reply that cannot be finished ends the connection, or its client would
take a part for the whole.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from uuid import UUID

from services.mail.errors import (
    AuthenticationRequired,
    BadCredentials,
    MailError,
    PrivacyRequired,
    ProtocolError,
)
from services.mail.pop3 import replies
from services.mail.pop3.commands import ALL, Command, State
from services.mail.pop3.connection import Connection as Machine
from services.mail.pop3.maildrop import Maildrop
from services.mail.sasl.mechanisms import begin, is_offered
from services.mail.store import Store
from services.mail.store.accounts import Account
from services.mail.store.mailboxes import INBOX, MailboxKey
from services.mail.store.messages import Items
from services.mail.store.sessions import MaildropLock
from services.mail.store.uids import from_masks
from services.plumbing import logins, logs, metrics
from services.plumbing.net.connection import Connection
from services.plumbing.presence import Presence
from services.pop3.bodies import Bodies
from services.pop3.locks import Locks
from services.pop3.settings import Pop3Settings

log = logs.get(__name__)

FLUSH_OCTETS = 64 * 1024
TOO_LATE = replies.error("Idle for too long", "SYS/TEMP")


class _EndedInExchange(Exception):
    """No answer to a challenge comes any more; `_step` says why."""


class Session:
    """A connection and what it has learned.

    stopping: once set, the running command is finished and the session ends.
    """

    def __init__(
        self,
        wire: Connection,
        store: Store,
        locks: Locks,
        presence: Presence,
        settings: Pop3Settings,
        stopping: asyncio.Event,
    ) -> None:
        self.wire = wire
        self.machine = Machine()
        self.maildrop = Maildrop(0)
        self._store = store
        self._locks = locks
        self._presence = presence
        self._presence_id: UUID | None = None
        self._is_asked_to_end = False
        self._settings = settings
        self._stopping = stopping
        self._lock: MaildropLock | None = None
        self._mailbox = MailboxKey(0, 0)
        self._bodies = Bodies(store.messages, self._mailbox, self.maildrop)
        self._out: list[bytes] = []
        self._out_octets = 0
        self._is_over = False
        self._until_login = asyncio.timeout(settings.login_seconds)

    @property
    def takes_password(self) -> bool:
        """Whether a password may travel here."""
        return self.wire.is_tls or self._settings.plain_passwords or self.wire.is_local

    async def run(self) -> None:
        """The whole session; raises ConnectionError when the peer goes away."""
        try:
            async with self._until_login:
                await self._converse()
        except TimeoutError:
            # Whoever does not read would not take it: it is not waited for.
            self.wire.write(b"".join((*self._out, TOO_LATE)))
        finally:
            if self._presence_id is not None:
                self._presence.closed(self._presence_id)
            if self._lock is not None:
                await asyncio.shield(self._locks.give_back(self._lock))

    async def _converse(self) -> None:
        await self.send(replies.ok(f"Restante on {self._settings.hostname} is ready"))
        while not self._is_over:
            if self._stopping.is_set():
                await self.end(replies.error("The service is restarting, try again", "SYS/TEMP"))
            elif self._is_asked_to_end:
                await self.end(replies.error("The session was ended by an operator", "SYS/TEMP"))
            else:
                await self._step()
        await self.flush()

    async def _step(self) -> None:
        """Answers the next command, or waits for it."""
        try:
            command = self.machine.next()
        except ProtocolError as error:
            await self._deny(error)
            return
        if command is not None:
            await self._answer(command)
            return
        self._bodies.forget()
        await self._receive()

    async def _deny(self, error: ProtocolError) -> None:
        await self.send(replies.refusal(error))
        if self.machine.is_exhausted:
            await self.end(replies.error("Too many bad commands"))

    async def _receive(self) -> bool:
        """Waits for octets, behind what is queued; False where none came."""
        await self.flush()
        try:
            data = await self.wire.read(timeout=self._settings.idle_seconds)
        except TimeoutError:
            await self.end(TOO_LATE)
            return False
        if data:
            self.machine.receive(data)
        elif not self._stopping.is_set() and not self._is_asked_to_end:
            self._is_over = True
        return bool(data)

    def ask_to_end(self) -> None:
        """Ends the session behind its running command; nothing is deleted."""
        self._is_asked_to_end = True
        self.wire.end_reading()

    async def _answer(self, command: Command) -> None:
        metrics.commands.labels(protocol="pop3", command=command.name).inc()
        log.debug("command", command=command.name, number=command.number)
        try:
            await ANSWERS[command.name](self, command)
        except ProtocolError as error:
            self.machine.count_bad()
            await self._deny(error)
        except MailError as error:
            await self.send(replies.refusal(error))
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("command failed", command=command.name)
            metrics.bugs.inc()
            await self.end(replies.refusal(error))

    # Writing

    async def send(self, data: bytes) -> None:
        """Queues octets; they go out together once enough wait or nothing is left to answer."""
        self._out.append(data)
        self._out_octets += len(data)
        if self._out_octets >= FLUSH_OCTETS:
            await self.flush()

    async def send_all(self, parts: Iterable[bytes]) -> None:
        """Queues many parts of one reply."""
        for part in parts:
            await self.send(part)

    async def flush(self) -> None:
        """Gives what is queued to the socket and waits until that has room. Raises ConnectionResetError."""
        gathered = b"".join(self._out)
        self._out.clear()
        self._out_octets = 0
        await self.wire.write_out(gathered)

    async def end(self, last: bytes) -> None:
        """Says a last reply; the connection is closed behind it."""
        self._is_over = True
        await self.send(last)
        await self.flush()

    async def send_message(self, chunks: AsyncIterator[bytes]) -> None:
        """A multi-line reply of octets as they come; whatever breaks it off breaks the connection."""
        stuffing = replies.DotStuffing()
        has_started = False
        try:
            async for chunk in chunks:
                if not has_started:
                    has_started = True
                    await self.send(replies.ok("message follows"))
                await self.send(stuffing.feed(chunk))
            if not has_started:
                await self.send(replies.ok("message follows"))
            await self.send(stuffing.end())
        except ConnectionError:
            raise
        except Exception as error:
            if not has_started:
                raise
            if isinstance(error, MailError):
                log.warning("message broken off", reason=error.text)
            else:
                log.exception("message broken off")
            self.wire.abort()
            raise ConnectionResetError("message broken off") from None

    # AUTHORIZATION

    async def capa(self, _command: Command) -> None:
        """CAPA: RFC 2449 §5."""
        before = self.machine.state is State.AUTHORIZATION
        can_log_in = not before or self.takes_password
        await self.send(
            replies.capabilities(can_start_tls=before and self.wire.has_tls, can_log_in=can_log_in)
        )

    async def stls(self, _command: Command) -> None:
        """STLS: RFC 2595 §4. What came behind it in plain text is dropped."""
        if not self.wire.has_tls:
            await self.send(replies.error("TLS runs already" if self.wire.is_tls else "No certificate here"))
            return
        await self.flush()
        self.machine.reset()
        await self.wire.start_tls(replies.ok("Begin TLS"))

    async def user(self, command: Command) -> None:
        """USER: RFC 1939 §7; whether the login exists is not told."""
        if not self.takes_password:
            raise PrivacyRequired
        self.machine.user = command.text.strip()
        await self.send(replies.ok("Now the password"))

    async def pass_(self, command: Command) -> None:
        """PASS: RFC 1939 §7; the rest of the line is the password, spaces included."""
        login, self.machine.user = self.machine.user, b""
        if not self.takes_password:
            raise PrivacyRequired
        if not login:
            raise AuthenticationRequired("USER comes first")
        await self._log_in(self._by_password(login, command.text))

    async def auth(self, command: Command) -> None:
        """AUTH: RFC 5034 §4; the mechanism asks, and the client answers a line each."""
        mechanism = command.text.decode("ascii", "replace")
        if not is_offered(mechanism):
            raise ProtocolError("no such mechanism")
        if not self.takes_password:
            raise PrivacyRequired
        await self._log_in(self._by_exchange(mechanism, command.initial))

    async def _by_password(self, login: bytes, password: bytes) -> Account:
        try:
            name = login.decode("utf-8")
        except UnicodeDecodeError:
            raise BadCredentials from None
        return await self._store.accounts.authenticate(name, password, self.wire.peer[0])

    async def _by_exchange(self, mechanism: str, initial: bytes | None) -> Account:
        async def ask(challenge: str) -> bytes:
            await self.send(replies.challenge(challenge))
            while (line := self.machine.answer()) is None:
                if not await self._receive():
                    raise _EndedInExchange
            return line

        exchange = begin(mechanism, initial)
        return await logins.authenticate(exchange, ask, self._store.accounts, self.wire.peer[0])

    async def _log_in(self, login: Awaitable[Account]) -> None:
        """Opens the maildrop of whoever comes in; counts whoever does not."""
        try:
            await self._enter(await login)
        except _EndedInExchange:
            return
        except (MailError, ProtocolError) as error:
            metrics.logins.labels(protocol="pop3", outcome="refused").inc()
            log.info("login refused", peer=self.wire.peer[0], reason=type(error).__name__)
            self.machine.count_bad()
            await self.send(replies.refusal(error))
            if self.machine.is_exhausted:
                await self.end(replies.error("Too many failed logins"))

    async def _enter(self, account: Account) -> None:
        due = self._until_login.when()
        self._until_login.reschedule(None)
        try:
            self._lock = await self._locks.take(account.account_id, self.wire.abort)
            expunged_to = await self._open(account.account_id)
        except BaseException:
            self._until_login.reschedule(due)
            if self._lock is not None:
                lock, self._lock = self._lock, None
                await asyncio.shield(self._locks.give_back(lock))
            raise
        self.machine.log_in()
        self._presence_id = self._presence.opened(account.account_id, self.wire.peer[0], self.ask_to_end)
        self._presence.moved(self._presence_id, self._mailbox.mailbox_id, expunged_to)
        metrics.logins.labels(protocol="pop3", outcome="accepted").inc()
        log.info("logged in", account_id=account.account_id, messages=len(self.maildrop))
        await self.send(replies.ok(f"{len(self.maildrop)} messages ({self.maildrop.octets} octets)"))

    async def _open(self, account_id: int) -> int:
        """Numbers the messages of INBOX as they are now; answers the modseq of that moment."""
        opened = await self._store.mailboxes.open(account_id, INBOX, claims_recent=False)
        maildrop = Maildrop(opened.mailbox.uid_validity)
        uids = from_masks(opened.blocks, opened.masks)
        if uids:
            async for page in self._store.messages.fetch(opened.mailbox.key, uids, Items.SIZE):
                maildrop.add(page.uids, page.sizes)
        self.maildrop = maildrop
        self._mailbox = opened.mailbox.key
        self._bodies = Bodies(self._store.messages, self._mailbox, maildrop)
        return opened.status.highest_modseq

    # TRANSACTION

    async def stat(self, _command: Command) -> None:
        """STAT: RFC 1939 §5."""
        await self.send(replies.ok(f"{len(self.maildrop)} {self.maildrop.octets}"))

    async def list(self, command: Command) -> None:
        """LIST: RFC 1939 §5."""
        if command.number != ALL:
            await self.send(replies.ok(f"{command.number} {self.maildrop.size(command.number)}"))
        else:
            await self.send_all(replies.scan_listing(self.maildrop))

    async def uidl(self, command: Command) -> None:
        """UIDL: RFC 1939 §7."""
        if command.number != ALL:
            await self.send(b"+OK %d %b\r\n" % (command.number, self.maildrop.unique_id(command.number)))
        else:
            await self.send_all(replies.unique_id_listing(self.maildrop))

    async def retr(self, command: Command) -> None:
        """RETR: RFC 1939 §5."""
        body = await self._bodies.whole(command.number, self.machine.upcoming)
        if body is None:
            await self.send_message(self._bodies.stream(command.number))
        else:
            await self.send(b"+OK %d octets\r\n%b" % (len(body), replies.stuffed(body)))

    async def top(self, command: Command) -> None:
        """TOP: RFC 1939 §7."""
        await self.send_message(self._bodies.top(command.number, command.lines))

    async def dele(self, command: Command) -> None:
        """DELE: RFC 1939 §5; marked now, removed at QUIT."""
        self.maildrop.mark(command.number)
        await self.send(replies.ok("Marked to be deleted"))

    async def noop(self, _command: Command) -> None:
        """NOOP: RFC 1939 §5."""
        await self.send(replies.ok())

    async def rset(self, _command: Command) -> None:
        """RSET: RFC 1939 §5."""
        self.maildrop.unmark_all()
        await self.send(replies.ok(f"{len(self.maildrop)} messages ({self.maildrop.octets} octets)"))

    async def quit(self, _command: Command) -> None:
        """QUIT: RFC 1939 §6; what is marked goes in one transaction, or nothing does."""
        self._is_over = True
        uids = self.maildrop.marked()
        if self._lock is not None and uids:
            await self._store.messages.expunge(self._mailbox, uids, even_undeleted=True, maildrop=self._lock)
        if self._lock is not None:
            # Before the reply, so that a client that logs in again at once finds the maildrop free.
            lock, self._lock = self._lock, None
            await self._locks.give_back(lock)
        await self.end(replies.ok("Goodbye"))


ANSWERS = {
    "CAPA": Session.capa,
    "STLS": Session.stls,
    "USER": Session.user,
    "PASS": Session.pass_,
    "AUTH": Session.auth,
    "QUIT": Session.quit,
    "STAT": Session.stat,
    "LIST": Session.list,
    "UIDL": Session.uidl,
    "RETR": Session.retr,
    "TOP": Session.top,
    "DELE": Session.dele,
    "NOOP": Session.noop,
    "RSET": Session.rset,
}
