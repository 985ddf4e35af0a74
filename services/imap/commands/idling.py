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
        if not session.state.idling:  # else another process has said so
            yield Continuation("idling")
            session.state.idling = session.tag
        session.updates.rest()
        clock = asyncio.get_running_loop().time
        silent_since = clock()
        async with session.door.signals.subscribe(session.account.account_id) as changed:
            while (line := session.incoming.next_line(LONGEST_LINE)) is None:
                with suppress(StoreUnavailable):  # told later, when the store is back
                    for news in await session.news():
                        yield news
                        silent_since = clock()
                if clock() - silent_since >= STILL_HERE_SECONDS:
                    yield Status("OK", "Still here")
                    silent_since = clock()
                await session.incoming.octets_or(changed, silent_since + STILL_HERE_SECONDS - clock())
                changed.clear()
        if line.upper() != b"DONE":
            raise ProtocolError("IDLE ends with DONE")
        yield session.ok("IDLE completed")
