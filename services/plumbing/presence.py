"""Who is connected to this process, as operators see it: the rows of its sessions, written behind.

The rule: no session ever waits for this or writes for itself. What many sessions became in a while leaves in one beat,
which also renews the process's lease; what a beat could not bring is brought by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Final, Self
from uuid import UUID, uuid4

from services.mail.errors import StoreUnavailable
from services.mail.store.sessions import LEASE_SECONDS, Process, Session, Sessions
from services.plumbing import logs

log = logs.get(__name__)

BEAT_SECONDS: Final = 5.0
PROMPT_SECONDS: Final = 0.5
LAST_BEAT_SECONDS: Final = 3.0
AT_ONCE: Final = 1000


class Presence:
    """An async context manager; inside it, this process beats.

    kind: imap, pop3, …; address: the admin address, for people. beat_seconds: how often at least; prompt_seconds: how
    long openings and closings gather before they are written.
    """

    def __init__(
        self,
        sessions: Sessions,
        kind: str,
        address: str,
        beat_seconds: float = BEAT_SECONDS,
        prompt_seconds: float = PROMPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.process = Process(uuid4(), kind, address)
        self._sessions = sessions
        self._beat_seconds = beat_seconds
        self._prompt_seconds = prompt_seconds
        self._open: dict[UUID, Session] = {}
        self._enders: dict[UUID, Callable[[], None]] = {}
        self._known: set[UUID] = set()  # written, or perhaps written
        self._moved: dict[UUID, None] = {}  # to be written, in the order in which they changed
        self._closed: dict[UUID, None] = {}
        self._changed = asyncio.Event()
        self._clock = clock
        self._beaten_at = clock()
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_BEAT_SECONDS):
                await self.beat()

    def opened(self, account_id: int, peer: str, end: Callable[[], None]) -> UUID:
        """Notes a session that has logged in; `end` is called once if an operator asks it to end."""
        session = Session(uuid4(), account_id, self.process.kind, peer, int(time.time()))
        self._open[session.session_id] = session
        self._enders[session.session_id] = end
        self._moved[session.session_id] = None
        self._changed.set()
        return session.session_id

    def moved(self, session_id: UUID, mailbox_id: int, expunged_to: int) -> None:
        """Notes what a session has selected (0 for nothing), and how far it was told of expunges."""
        session = self._open[session_id]
        if session.mailbox_id != mailbox_id:
            self._changed.set()
        elif session.expunged_to == expunged_to:
            return
        self._open[session_id] = replace(session, mailbox_id=mailbox_id, expunged_to=expunged_to)
        self._moved[session_id] = None

    def closed(self, session_id: UUID) -> None:
        """Notes that a session is over; one that was never written leaves nothing to write."""
        del self._open[session_id]
        self._enders.pop(session_id, None)
        self._moved.pop(session_id, None)
        if session_id in self._known:
            self._known.discard(session_id)
            self._closed[session_id] = None
            self._changed.set()

    async def beat(self) -> None:
        """Writes what changed, by at most AT_ONCE sessions at a time, and ends those that are asked to end."""
        if self._clock() - self._beaten_at > LEASE_SECONDS / 2:
            # The lease may have run out and taken the rows with it: they are all written again.
            self._moved |= dict.fromkeys(self._open)
        self._changed.clear()
        while True:
            moved, closed = list(islice(self._moved, AT_ONCE)), list(islice(self._closed, AT_ONCE))
            for session_id in moved:
                del self._moved[session_id]
            self._known.update(moved)
            if not await self._write(moved, closed):
                return
            if not self._moved and not self._closed:
                return

    async def _write(self, moved: list[UUID], closed: list[UUID]) -> bool:
        try:
            ending = await self._sessions.beat(
                self.process, [self._open[session_id] for session_id in moved], closed
            )
        except BaseException as error:
            self._moved |= dict.fromkeys(session_id for session_id in moved if session_id in self._open)
            if not isinstance(error, Exception):
                raise
            if isinstance(error, StoreUnavailable):
                log.warning("sessions not written for a moment", reason=error.text)
            else:
                log.exception("writing sessions failed")
            return False
        self._beaten_at = self._clock()
        for session_id in closed:
            self._closed.pop(session_id, None)
        for session_id in ending:
            if (end := self._enders.pop(session_id, None)) is not None:
                log.info("session is asked to end", session_id=str(session_id))
                end()
        return True

    async def _beat_forever(self) -> None:
        while True:
            await self.beat()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._beat_seconds):
                    await self._changed.wait()
                    await asyncio.sleep(self._prompt_seconds)
