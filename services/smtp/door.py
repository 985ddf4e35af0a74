"""The open sessions of this process, and how they end when it stops.

The rule: a letter whose content is coming in when the process is told to stop may still end, within the time to drain.
"""

import asyncio

from services.mail.smtp import replies
from services.mail.store import Store
from services.plumbing.net.connection import Connection
from services.plumbing.net.listener import Listener
from services.plumbing.net.tls import TlsContext
from services.smtp.refusals import Refusals
from services.smtp.session import Session
from services.smtp.settings import Settings


class Door:
    """A listener and its sessions."""

    def __init__(self, store: Store, settings: Settings, tls: TlsContext | None) -> None:
        self._store = store
        self._settings = settings
        self._refusals = Refusals(store.traces)
        self._sessions: set[Session] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._listener = Listener(
            settings.address,
            settings.port,
            self.serve,
            tls=tls,
            implicit_tls=False,
            limits=settings.limits,
            proxies=settings.trusted,
            refusal=replies.TOO_MANY_CONNECTIONS.octets,
        )

    @property
    def port(self) -> int:
        """The bound one."""
        return self._listener.port

    async def start(self) -> None:
        """Opens the door. Raises PortInUse, CannotStart."""
        await self._refusals.__aenter__()
        await self._listener.start()

    async def serve(self, connection: Connection) -> None:
        """One connection, from the greeting to its end."""
        session = Session(connection, self._store, self._settings, self._refusals)
        self._sessions.add(session)
        self._is_empty.clear()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            if not self._sessions:
                self._is_empty.set()

    async def stop(self, grace: float) -> None:
        """Takes no more connections, lets letters end for `grace` seconds, and closes the rest."""
        await self._listener.stop_accepting()
        for session in list(self._sessions):
            session.stop()
        try:
            async with asyncio.timeout(grace):
                await self._is_empty.wait()
        except TimeoutError:
            pass
        await self._listener.stop(grace=1.0)
        await self._refusals.__aexit__()
