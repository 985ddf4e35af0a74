"""The change log in memory, listed and followed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from services.mail.errors import BehindFloor
from services.mail.store.changes import Change, Fallen, Watch
from tests.fakes.memory.state import Ledger, State


@dataclass(frozen=True, slots=True)
class MemoryChanges:
    """The port's Changes."""

    state: State

    def watch(self) -> Watch:
        """A new follower."""
        return MemoryWatch(self.state)

    async def list(self, account_id: int, since: int, limit: int) -> Sequence[Change]:
        """Whole modseqs after `since`; the first of them even where it is longer than `limit`."""
        ledger = self.state.ledger(account_id)
        if since < ledger.log_floor:
            raise BehindFloor
        rows = changes_after(ledger, since)
        if len(rows) <= limit:
            return rows
        last = rows[limit].modseq
        whole = [row for row in rows[:limit] if row.modseq != last]
        return whole or [row for row in rows if row.modseq == last]


def changes_after(ledger: Ledger, since: int) -> list[Change]:
    """Ordered by modseq, mailbox and kind."""
    rows = [change for change in ledger.changes if change.modseq > since]
    return sorted(rows, key=lambda row: (row.modseq, row.mailbox_id, row.kind))


@dataclass(slots=True)
class MemoryWatch:
    """One follower; it wakes by the events of its accounts and of itself."""

    state: State
    marks: dict[int, int] = field(default_factory=dict)
    waiting: deque[Change | Fallen] = field(default_factory=deque)
    is_closed: bool = False
    touched: asyncio.Event = field(default_factory=asyncio.Event)

    async def add(self, account_id: int, since: int | None = None) -> int:
        """Follows an account from after `since`, or from now on. Raises AccountUnknown."""
        ledger = self.state.ledger(account_id)
        await self.remove(account_id)
        self.marks[account_id] = ledger.modseq if since is None else since
        self.touched.set()
        return self.marks[account_id]

    async def remove(self, account_id: int) -> None:
        """Follows it no longer; what waits of it is dropped."""
        self.marks.pop(account_id, None)
        self.waiting = deque(row for row in self.waiting if row.account_id != account_id)

    def __aiter__(self) -> AsyncIterator[Change | Fallen]:
        return self._follow()

    async def close(self) -> None:
        """Ends the iteration."""
        self.is_closed = True
        self.touched.set()

    async def _follow(self) -> AsyncIterator[Change | Fallen]:
        while not self.is_closed:
            self.touched.clear()
            events = [self.touched, *(ledger.changed for ledger in self._ledgers())]
            self._gather()
            while self.waiting and not self.is_closed:
                yield self.waiting.popleft()
                self._gather()
            if not self.touched.is_set() and not any(event.is_set() for event in events):
                await _any(events)

    def _ledgers(self) -> list[Ledger]:
        """Of the followed accounts those that were not removed."""
        return [self.state.ledgers[each] for each in self.marks if each in self.state.ledgers]

    def _gather(self) -> None:
        for ledger in self._ledgers():
            account_id = ledger.account.account_id
            mark = self.marks[account_id]
            if mark < ledger.log_floor:
                self.waiting.append(Fallen(account_id, ledger.modseq))
            else:
                self.waiting += changes_after(ledger, mark)
            self.marks[account_id] = max(mark, ledger.modseq)


async def _any(events: Sequence[asyncio.Event]) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
