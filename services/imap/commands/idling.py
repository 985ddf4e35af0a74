"""IDLE: RFC 2177, RFC 9051 §6.3.13."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.imap.registry import WithoutArguments, command
from services.imap.session.state import State
from services.mail.errors import ProtocolError, StoreUnavailable
from services.mail.imap.responses import Continuation, Response, Status

if TYPE_CHECKING:
    from services.imap.conversation import Session

STILL_HERE_SECONDS = 120.0
LONGEST_LINE = 100


@command("IDLE", State.LOGGED_IN, capabilities=("IDLE",))
@dataclass(frozen=True, slots=True)
class Idle(WithoutArguments):
    """IDLE: RFC 9051 §6.3.13. Ends with the client's next line, which should be DONE."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        yield Continuation("idling")
        session.updates.rest()
        clock = asyncio.get_running_loop().time
        silent_since = clock()
        async with session.door.signals.subscribe(session.account.account_id) as changed:
            reading: asyncio.Task[bytes] | None = None
            try:
                while (line := session.incoming.next_line(LONGEST_LINE)) is None:
                    with suppress(StoreUnavailable):  # told later, when the store is back
                        for news in await session.news():
                            yield news
                            silent_since = clock()
                    if clock() - silent_since >= STILL_HERE_SECONDS:
                        yield Status("OK", "Still here")
                        silent_since = clock()
                    await session.writer.flush()
                    reading = reading or asyncio.ensure_future(session.connection.read())
                    await _either(reading, changed, silent_since + STILL_HERE_SECONDS - clock())
                    changed.clear()
                    if reading.done():
                        session.incoming.received(reading.result())
                        reading = None
            finally:
                if reading is not None:
                    reading.cancel()
                    await asyncio.wait((reading,))  # a connection has one reader
        if line.upper() != b"DONE":
            raise ProtocolError("IDLE ends with DONE")
        yield session.ok("IDLE completed")


async def _either(reading: asyncio.Task[bytes], changed: asyncio.Event, seconds: float) -> None:
    """Waits for octets or for a change, and no longer than this."""
    waiting = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait((reading, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
