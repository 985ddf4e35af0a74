"""Both POP3 ports, with the locks that their sessions hold."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from services.mail.pop3 import replies
from services.mail.store import Store
from services.plumbing.net.connection import Connection
from services.plumbing.net.listener import Listener
from services.plumbing.net.tls import TlsContext
from services.plumbing.presence import Presence
from services.pop3.conversation import converse
from services.pop3.locks import Locks
from services.pop3.session import Session
from services.pop3.settings import Pop3Settings

REFUSAL = replies.error("Too many connections", "SYS/TEMP")


class Door:
    """An async context manager; inside it, plain and secure are open ports.

    stopping: once set, sessions end behind their running command. admin_address: told to operators with each session.
    """

    def __init__(
        self,
        settings: Pop3Settings,
        store: Store,
        tls: TlsContext,
        stopping: asyncio.Event,
        admin_address: str = "",
    ) -> None:
        self.locks = Locks(store.sessions)
        self.presence = Presence(store.sessions, settings.process, admin_address)
        self._settings = settings
        self._store = store
        self._stopping = stopping
        limits = settings.limits
        self.plain, self.secure = (
            Listener(
                settings.address,
                port,
                self.serve,
                tls=tls,
                implicit_tls=implicit_tls,
                limits=limits,
                proxies=settings.trusted,
                refusal=REFUSAL,
                reuse_port=settings.shares_ports,
            )
            for port, implicit_tls in ((settings.port, False), (settings.tls_port, True))
        )
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.presence)
            await stack.enter_async_context(self.plain)
            await stack.enter_async_context(self.secure)
            stack.callback(asyncio.create_task(self.locks.renew_forever()).cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def serve(self, connection: Connection) -> None:
        """One session, to its end."""
        session = Session(connection, self._store, self.locks, self.presence, self._settings, self._stopping)
        await converse(session)

    async def stop(self, grace: float) -> None:
        """Lets running commands finish for at most grace seconds; stopping is set before."""
        await asyncio.gather(self.plain.stop(grace), self.secure.stop(grace))
