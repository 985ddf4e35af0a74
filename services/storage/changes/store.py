"""The change log on PostgreSQL. The rule: the log is the truth, and every signal only a hint to read it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from services.mail.errors import AccountUnknown, BehindFloor, StoreUnavailable
from services.mail.store.changes import Change, ChangeKind, Fallen, Watch
from services.storage.arrays import Bigints
from services.storage.changes import statements
from services.storage.feed import Feed
from services.storage.transaction import Database, Row

# Rows of one account that are read at once, and accounts that share a read.
PAGE_ROWS: Final = 500
PAGE_ACCOUNTS: Final = 20
RETRY_SECONDS: Final = 1.0


class PostgresChanges:
    """Implements `services.mail.store.changes.Changes`."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed

    def watch(self) -> Watch:
        """See the port."""
        return PostgresWatch(self._database, self._feed)

    async def list(self, account_id: int, since: int, limit: int) -> Sequence[Change]:
        """See the port."""
        rows = await _read(self._database, [account_id], [since], max(limit, 1))
        if not rows:
            raise AccountUnknown
        if since < rows[0][1]:
            raise BehindFloor
        found = _changes(rows)
        if len(found) > limit and found[0].modseq != found[-1].modseq:
            found = [change for change in found if change.modseq != found[-1].modseq]
        return found


class _Follower:
    """Where one `add` stands; another `add` of the same account makes another."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class PostgresWatch:
    """Implements `services.mail.store.changes.Watch`: a position for each account, and those that may have moved."""

    def __init__(self, database: Database, feed: Feed) -> None:
        self._database = database
        self._feed = feed
        self._followed: dict[int, _Follower] = {}
        self._stirred: dict[int, None] = {}
        self._wake = asyncio.Event()
        self._is_closed = False

    def position_of(self, account_id: int, unknown: int) -> int:
        """The modseq up to which a followed account was read."""
        follower = self._followed.get(account_id)
        return unknown if follower is None else follower.position

    async def add(self, account_id: int, since: int | None = None) -> int:
        """See the port. Raises AccountUnknown."""
        # Registered first, so that whatever is committed from here on stirs.
        self._feed.follow(account_id, self)
        rows = await self._database.read(statements.MODSEQS, {"accounts": Bigints([account_id])})
        if not rows:
            if account_id not in self._followed:
                self._feed.leave(account_id, self)
            raise AccountUnknown
        position = int(rows[0][1]) if since is None else since
        self._followed[account_id] = _Follower(position)
        self.stir(account_id)
        return position

    async def remove(self, account_id: int) -> None:
        """See the port."""
        self._followed.pop(account_id, None)
        self._stirred.pop(account_id, None)
        self._feed.leave(account_id, self)

    async def close(self) -> None:
        """See the port."""
        self._is_closed = True
        for account_id in list(self._followed):
            await self.remove(account_id)
        self._wake.set()

    def stir(self, account_id: int) -> None:
        """Says that an account may have changed."""
        self._stirred[account_id] = None
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Change | Fallen]:
        while True:
            await self._wake.wait()
            if self._is_closed:
                return
            accounts = [each for each in list(self._stirred)[:PAGE_ACCOUNTS] if each in self._followed]
            for account_id in list(self._stirred)[:PAGE_ACCOUNTS]:
                del self._stirred[account_id]
            if not self._stirred:
                self._wake.clear()
            async for event in self._read(accounts):
                yield event

    async def _read(self, accounts: Sequence[int]) -> AsyncIterator[Change | Fallen]:
        followers = {account_id: self._followed[account_id] for account_id in accounts}
        sinces = [followers[account_id].position for account_id in accounts]
        try:
            rows = await _read(self._database, accounts, sinces, PAGE_ROWS)
        except StoreUnavailable:
            await asyncio.sleep(RETRY_SECONDS)
            for account_id in accounts:
                self.stir(account_id)
            return
        by_account: dict[int, list[Row]] = {}
        for row in rows:
            by_account.setdefault(row[0], []).append(row)
        for account_id, found in by_account.items():
            follower = followers[account_id]
            if self._followed.get(account_id) is not follower:
                continue
            if len(found) >= PAGE_ROWS:
                self.stir(account_id)
            floor, modseq = found[0][1], found[0][2]
            if follower.position < floor:
                follower.position = modseq
                yield Fallen(account_id, modseq)
                continue
            changes = _changes(found)
            if changes:
                follower.position = changes[-1].modseq
            for change in changes:
                if self._followed.get(account_id) is not follower:
                    break
                yield change


async def _read(database: Database, accounts: Sequence[int], sinces: Sequence[int], limit: int) -> list[Row]:
    if not accounts:
        return []
    values = {"accounts": Bigints(accounts), "sinces": Bigints(sinces), "limit": limit}
    return await database.read(statements.READ, values)


def _changes(rows: Sequence[Row]) -> list[Change]:
    return [
        Change(
            account_id,
            modseq,
            mailbox_id,
            ChangeKind(kind),
            tuple((run.lower, run.upper - 1) for run in runs or ()),
        )
        for account_id, _, _, modseq, mailbox_id, kind, runs in rows
        if modseq is not None
    ]
