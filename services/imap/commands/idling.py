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
        if session.state.selected is not None:
            session.view.flags.drop()
        async with session.door.signals.subscribe(session.account.account_id) as changed:
            reading: asyncio.Task[bytes] | None = None
            try:
                while (line := session.framing.next_line(LONGEST_LINE)) is None:
                    with suppress(StoreUnavailable):  # told later, when the store is back
                        for news in await session.news():
                            yield news
                    await session.writer.flush()
                    reading = reading or asyncio.ensure_future(session.connection.read())
                    if not await _either(reading, changed):
                        yield Status("OK", "Still here")
                    changed.clear()
                    if reading.done():
                        session.received(reading.result())
                        reading = None
            except ValueError:
                raise ProtocolError("IDLE ends with DONE") from None
            finally:
                if reading is not None:
                    reading.cancel()
                    await asyncio.wait((reading,))  # a connection has one reader
        if line.upper() != b"DONE":
            raise ProtocolError("IDLE ends with DONE")
        yield session.ok("IDLE completed")


async def _either(reading: asyncio.Task[bytes], changed: asyncio.Event) -> bool:
    """Waits for octets or for a change; False where neither came for a while."""
    waiting = asyncio.ensure_future(changed.wait())
    try:
        done, _ = await asyncio.wait(
            (reading, waiting), timeout=STILL_HERE_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)
    finally:
        waiting.cancel()
