"""The open sessions of this process, and how they end when it stops.

The rule: a letter whose content is coming in when the process is told to stop may still end, within the time to drain.
"""

import asyncio
from functools import partial

from services.mail.smtp import replies
from services.mail.store import Store
from services.plumbing.net.connection import Connection
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.net.networks import Networks
from services.plumbing.net.tls import TlsContext
from services.smtp.refusals import Refusals
from services.smtp.session import Session
from services.smtp.settings import Settings


class Door:
    """Two listeners, of SMTP and of LMTP, and their sessions."""

    def __init__(self, store: Store, settings: Settings, tls: TlsContext | None) -> None:
        self._store = store
        self._settings = settings
        self._refusals = Refusals(store.traces)
        self._sessions: set[Session] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._smtp = self._listener(settings.port, tls, settings.limits, is_lmtp=False)
        exempt = Networks.read(f"{settings.lmtp_networks},{settings.proxies}")
        trusted = Limits(settings.connections, exempt=exempt)
        self._lmtp = self._listener(settings.lmtp_port, tls, trusted, is_lmtp=True)

    def _listener(self, port: int, tls: TlsContext | None, limits: Limits, *, is_lmtp: bool) -> Listener:
        return Listener(
            self._settings.address,
            port,
            partial(self.serve, is_lmtp=is_lmtp),
            tls=tls,
            implicit_tls=False,
            limits=limits,
            proxies=self._settings.trusted,
            refusal=replies.TOO_MANY_CONNECTIONS.octets,
        )

    @property
    def port(self) -> int:
        """The bound one of SMTP."""
        return self._smtp.port

    @property
    def lmtp_port(self) -> int:
        """The bound one of LMTP."""
        return self._lmtp.port

    async def start(self) -> None:
        """Opens the door. Raises PortInUse, CannotStart."""
        await self._smtp.start()
        try:
            await self._lmtp.start()
        except BaseException:
            await self._smtp.stop(grace=0.0)
            raise
        await self._refusals.__aenter__()

    async def serve(self, connection: Connection, is_lmtp: bool) -> None:
        """One connection, from the greeting to its end."""
        session = Session(connection, self._store, self._settings, self._refusals, is_lmtp=is_lmtp)
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
        for listener in (self._smtp, self._lmtp):
            await listener.stop_accepting()
        for session in list(self._sessions):
            session.stop()
        try:
            async with asyncio.timeout(grace):
                await self._is_empty.wait()
        except TimeoutError:
            pass
        await asyncio.gather(*(listener.stop(grace=1.0) for listener in (self._smtp, self._lmtp)))
        await self._refusals.__aexit__()
