"""Who is woken when an account changes: one follower of the change log for all sessions of this process.

The rule: a signal is a hint and carries nothing; whoever wakes asks the store what happened. So a lost or doubled one
does no harm beyond a wait or a question.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.mail.errors import StoreUnavailable
from services.mail.store.changes import Changes, Watch
from services.plumbing import logs

log = logs.get(__name__)

RETRY_SECONDS = 1.0


class Signals:
    """Waiting sessions by account."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._watch: Watch | None = None
        self._waiting: dict[int, set[asyncio.Event]] = {}

    async def run(self) -> None:
        """Follows the log until cancelled; starts over where the store cannot be reached."""
        while True:
            try:
                await self._follow()
            except StoreUnavailable as error:
                log.warning("changes not followed for a moment", reason=error.text)
            except Exception:
                log.exception("following changes failed")
            self._watch = None
            self._wake(list(self._waiting))
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        watch = self._changes.watch()
        try:
            self._watch = watch
            for account_id in list(self._waiting):
                await watch.add(account_id)
            self._wake(list(self._waiting))
            async for change in watch:
                self._wake([change.account_id])
        finally:
            await watch.close()

    def _wake(self, accounts: list[int]) -> None:
        for account_id in accounts:
            for event in self._waiting.get(account_id, ()):
                event.set()

    @contextlib.asynccontextmanager
    async def subscribe(self, account_id: int) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever something of the account has changed since this began."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(account_id, set())
        waiting.add(event)
        try:
            if len(waiting) == 1 and self._watch is not None:
                with contextlib.suppress(StoreUnavailable):  # `run` meets the same and starts over
                    await self._watch.add(account_id)
            yield event
        finally:
            waiting.discard(event)
            if not waiting and self._waiting.get(account_id) is waiting:
                del self._waiting[account_id]
                if self._watch is not None:
                    with contextlib.suppress(StoreUnavailable):
                        await self._watch.remove(account_id)
