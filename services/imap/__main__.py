"""`python -m services.imap`: the IMAP door as a process."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from services.imap import commands
from services.imap.door import Door
from services.imap.settings import Settings
from services.imap.signals import Signals
from services.plumbing import processes
from services.plumbing.net.listener import Listener
from services.plumbing.net.tls import TlsContext
from services.plumbing.presence import Presence
from services.plumbing.processes import Process
from services.plumbing.rpc import client

REFUSAL: Final = b"* BYE [UNAVAILABLE] Too many connections\r\n"


async def main(settings: Settings, process: Process) -> None:
    """Serves both ports until the process is told to stop."""
    assert commands.FAMILIES
    tls = TlsContext(settings.tls_certificate, settings.tls_key)
    limits = settings.limits
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(client.connect(settings))
        signals = Signals(store.changes)
        presence = Presence(store.sessions, "imap", f"{settings.admin_address}:{process.admin_port}")
        await stack.enter_async_context(presence)
        door = Door(settings, store, signals, process.stopping, presence)
        following = asyncio.create_task(signals.run())
        try:
            plain = Listener(
                settings.address,
                settings.port,
                door.serve,
                tls=tls,
                implicit_tls=False,
                limits=limits,
                proxies=settings.trusted,
                refusal=REFUSAL,
            )
            secure = Listener(
                settings.address,
                settings.tls_port,
                door.serve,
                tls=tls,
                implicit_tls=True,
                limits=limits,
                proxies=settings.trusted,
            )
            await stack.enter_async_context(plain)
            await stack.enter_async_context(secure)
            process.ready(port=plain.port, tls_port=secure.port)
            await process.stopping.wait()
            await asyncio.gather(plain.stop(settings.drain_seconds), secure.stop(settings.drain_seconds))
        finally:
            following.cancel()


if __name__ == "__main__":
    processes.run("imap", Settings, main)
