"""The change log on PostgreSQL, listed and followed.

The rule: the log is the truth and the feed a hint; a watch reads the log itself, in pages, from where it is.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from services.mail.errors import AccountUnknown, BehindFloor, StoreUnavailable
from services.mail.store.changes import Change, ChangeKind, Fallen
from services.storage.arrays import Bigints
from services.storage.changes import statements
from services.storage.feed import Feed, Follower
from services.storage.runs import from_multirange
from services.storage.transaction import Database, Row

_PAGE: Final = 500
_RETRY_SECONDS: Final = 1.0


class PostgresChanges:
    """Implements `services.mail.store.changes.Changes`."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    def watch(self) -> "PostgresWatch":
        """See the port."""
        return PostgresWatch(self._database, self._feed)

    async def list(self, account_id: int, since: int, limit: int) -> Sequence[Change]:
        """See the port. One modseq alone may have more than `limit`."""
        _, found = await read_log(self._database, account_id, since, max(limit, 1))
        return found


async def read_log(database: Database, account_id: int, since: int, limit: int) -> tuple[int, list[Change]]:
    """The account's modseq, and changes after `since`, whole modseqs. Raises BehindFloor, AccountUnknown."""
    values: dict[str, Any] = {"account_id": account_id, "since": since, "limit": limit + 1}
    rows = await database.read(statements.LIST, values)
    if not rows:
        raise AccountUnknown
    modseq, log_floor = rows[0][:2]
    if since < log_floor:
        raise BehindFloor
    if rows[0][2] is None:
        return modseq, []
    if len(rows) > limit:
        last = rows[-1][2]
        if rows[0][2] == last:
            rows = await database.read(statements.ONE_MODSEQ, {"account_id": account_id, "modseq": last})
        else:
            rows = [row for row in rows if row[2] != last]
    return modseq, [_change(account_id, row) for row in rows]


def _change(account_id: int, row: Row) -> Change:
    return Change(account_id, row[2], row[3], ChangeKind(row[4]), from_multirange(row[5]))


class PostgresWatch(Follower):
    """Implements `services.mail.store.changes.Watch`; holds a number for each account and nothing else."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._positions: dict[int, int] = {}
        self._dirty: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._is_closed = False
        feed.join(self)

    async def add(self, account_id: int, since: int | None = None) -> int:
        """See the port. Raises AccountUnknown."""
        self._feed.follow(self, account_id)
        if since is None:
            rows = await self._database.read(statements.MODSEQS, {"accounts": Bigints([account_id])})
            if not rows:
                await self.remove(account_id)
                raise AccountUnknown
            since = int(rows[0][1])
        self._positions[account_id] = since
        self.touch(account_id)
        return since

    async def remove(self, account_id: int) -> None:
        """See the port."""
        self._feed.leave(self, account_id)
        self._positions.pop(account_id, None)
        self._dirty.pop(account_id, None)

    async def close(self) -> None:
        """See the port."""
        self._is_closed = True
        self._feed.part(self)
        self._wake.set()

    def touch(self, account_id: int) -> None:
        """There may be something new."""
        self._dirty[account_id] = None
        self._wake.set()

    def positions(self) -> dict[int, int]:
        """The accounts and the modseqs that were handed out."""
        return self._positions

    def __aiter__(self) -> AsyncIterator[Change | Fallen]:
        """See the port."""
        return self._follow()

    async def _follow(self) -> AsyncIterator[Change | Fallen]:
        while not self._is_closed:
            if not self._dirty:
                self._wake.clear()
                await self._wake.wait()
                continue
            account_id = next(iter(self._dirty))
            del self._dirty[account_id]
            since = self._positions.get(account_id)
            if since is None:
                continue
            try:
                found = await self._next(account_id, since)
            except AccountUnknown:
                continue
            except StoreUnavailable:
                self._dirty[account_id] = None
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            for place, each in enumerate(found):
                # Whoever was removed, or started over meanwhile, gets no more of this page.
                if self._is_closed or self._positions.get(account_id) != since:
                    break
                if place + 1 == len(found) or found[place + 1].modseq != each.modseq:
                    since = self._positions[account_id] = each.modseq
                yield each

    async def _next(self, account_id: int, since: int) -> Sequence[Change | Fallen]:
        try:
            modseq, found = await read_log(self._database, account_id, since, _PAGE)
        except BehindFloor:
            rows = await self._database.read(statements.MODSEQS, {"accounts": Bigints([account_id])})
            return [Fallen(account_id, rows[0][1])] if rows else []
        if found and found[-1].modseq < modseq:
            self._dirty[account_id] = None
        return found
