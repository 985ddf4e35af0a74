"""What one POP3 connection has: its socket, what it said, its maildrop; and how it is read and written. RFC 1939.

The rule: a multi-line reply that cannot be finished ends the connection, or its client would take a part for the whole.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

from services.mail.errors import MailError
from services.mail.pop3 import replies
from services.mail.pop3.connection import Connection as Machine
from services.mail.pop3.maildrop import Maildrop
from services.mail.store import Store
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.sessions import MaildropLock
from services.plumbing import logs
from services.plumbing.net.connection import Connection
from services.plumbing.presence import Presence
from services.pop3.bodies import Bodies
from services.pop3.locks import Locks
from services.pop3.settings import Pop3Settings

log = logs.get(__name__)

FLUSH_OCTETS = 64 * 1024
TOO_LATE = replies.error("No login for too long", "SYS/TEMP")


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
        self.store = store
        self.locks = locks
        self.presence = presence
        self.presence_id: UUID | None = None
        self.settings = settings
        self.stopping = stopping
        self.lock: MaildropLock | None = None
        self.mailbox = MailboxKey(0, 0)
        self.bodies = Bodies(store.messages, self.mailbox, self.maildrop)
        self.farewell = ""
        self.is_over = False
        self._out: list[bytes] = []
        self._out_octets = 0
        # Of this connection alone, or "" where APOP is not offered. RFC 1939 §7.
        self.timestamp = timestamp_of(settings.hostname) if settings.apop else ""
        self.until_login = asyncio.timeout(settings.login_seconds)

    @property
    def takes_password(self) -> bool:
        """Whether a password may travel here."""
        return self.wire.is_tls or self.settings.plain_passwords or self.wire.is_local

    def ask_to_end(self, reason: str = "The session was ended by an operator") -> None:
        """Ends the session behind its running command, with these words; nothing is deleted."""
        self.farewell = self.farewell or reason
        self.wire.end_reading()

    def lose_lock(self) -> None:
        """Somebody else has the maildrop now, or it is gone: QUIT would remove nothing any more."""
        self.ask_to_end("The maildrop lock was lost")

    async def give_back_lock(self) -> None:
        """Frees the maildrop, where this session holds it."""
        if self.lock is not None:
            lock, self.lock = self.lock, None
            await asyncio.shield(self.locks.give_back(lock))

    # Reading

    async def receive(self) -> bool:
        """Waits for octets, behind what is queued; False where none came."""
        await self.flush()
        try:
            data = await self.wire.read(timeout=self.settings.idle_seconds)
        except TimeoutError:
            self.is_over = True  # without a word: RFC 1939 §3
            return False
        if data:
            self.machine.receive(data)
        elif not self.stopping.is_set() and not self.farewell:
            self.is_over = True
        return bool(data)

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

    def give_up(self) -> None:
        """Says that the time for a login is over, behind what is queued; who does not read is not waited for."""
        self.wire.write(b"".join((*self._out, TOO_LATE)))

    async def end(self, last: bytes) -> None:
        """Says a last reply; the connection is closed behind it."""
        self.is_over = True
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


def timestamp_of(hostname: str) -> str:
    """What no other connection of any copy is greeted with, in the form of a msg-id. RFC 1939 §7."""
    return f"<{secrets.token_hex(16)}.{time.time_ns()}@{hostname}>"
