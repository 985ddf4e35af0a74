"""What this door refused, told to storage now and then, so that `restante trace` finds it.

The rule: nobody waits for it, and it is bounded: a flood is told as far as there is room, and no further.
"""

import asyncio
import time
from typing import Final, Self

from services.mail.errors import MailError
from services.mail.smtp.paths import Path
from services.mail.smtp.replies import Reply
from services.mail.store.traces import MAX_WORD, Trace, TraceKind, Traces, address_of
from services.plumbing import logs

log = logs.get(__name__)

# Refusals that are kept at once, and how many more each second: what a flood may fill in a database is bounded.
BURST: Final = 500
PER_SECOND: Final = 20
_ROUND_SECONDS: Final = 1.0


class Refusals:
    """Those that wait to be told."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self._waiting: list[Trace] = []
        self._room = BURST
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins to tell."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tells the last ones."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._tell()

    def note(self, peer: str, sender: Path, recipient: Path, reply: Reply, size: int = 0) -> None:
        """A recipient was refused, or with a size a whole letter for this recipient."""
        if not self._room:
            return
        self._room -= 1
        self._waiting.append(
            Trace(
                kind=TraceKind.REFUSED,
                at=time.time_ns() // 1000,
                sender=address_of(str(sender)),
                recipient=address_of(str(recipient)),
                peer=peer,
                size=size,
                detail=reply.octets.decode("ascii").strip()[:MAX_WORD],
            )
        )

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_ROUND_SECONDS)
            self._room = min(BURST, self._room + PER_SECOND)
            await self._tell()

    async def _tell(self) -> None:
        told, self._waiting = self._waiting, []
        if not told:
            return
        try:
            await self._traces.record(told)
        except MailError as error:
            log.warning("refusals not kept", refusals=len(told), reason=error.text)
        except Exception:
            log.exception("refusals not kept")
