"""Search on PostgreSQL: flags, sizes and dates first, kept texts next, and last the messages whose text is not kept.

The rule: a statement is short whatever the mailbox holds, since the next one is as long as the last one was quick;
what is decided already is never looked at, and no connection is held between two parts of an answer.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from services.mail.errors import MailboxNotFound
from services.mail.search.deciding import Bounds, Rows, by_columns, chosen, decide
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.search import Changed, Flagged, Found, Operator, Query, Sized, check
from services.mail.store.uids import BLOCK, LAST_UID, Runs, between, each_mask
from services.storage.messages.blocks import columns
from services.storage.search import statements
from services.storage.search.indexer import Indexer
from services.storage.search.leaves import Leaf, leaf_of
from services.storage.search.scanning import scan
from services.storage.search.sources import Read
from services.storage.transaction import Database, Row, Statement, Values

# Blocks of 64 uids that are read together: with their columns, and where it is enough to know what lives.
WINDOW: Final = 160
_WINDOW_OF_LIVE: Final = 1600
# Messages whose texts are looked at together: at first, which a disk that must seek for each still answers in time, and
# whatever happens; and how many times as many next, where that was quick.
_FIRST_ROWS: Final = 512
_FEWEST_ROWS: Final = 64
_GROWTH: Final = 4
# How long that should take.
_SHORT_SECONDS: Final = 0.025
_LONG_SECONDS: Final = 0.1
# How long to compute before others have their turn.
_STEP_SECONDS: Final = 0.003


class PostgresSearch:
    """Implements `services.mail.store.search.Search`. most_statements: of all searches, under way at once."""

    def __init__(self, database: Database, indexer: Indexer, most_statements: int) -> None:
        self._database = database
        self._indexer = indexer
        self._room = asyncio.Semaphore(most_statements)

    async def search(self, mailbox: MailboxKey, uids: Runs, query: Query) -> AsyncIterator[Found]:
        """See the port."""
        check(query)
        key = {"account_id": mailbox.account_id, "mailbox_id": mailbox.mailbox_id}
        rows = await self._read(statements.MAILBOX, key)
        if not rows:
            raise MailboxNotFound
        uid_next, keywords = rows[0]
        runs = between(uids, 1, min(uid_next - 1, LAST_UID))
        searching = _Searching(self._read, key, query, keywords)
        async for window in searching.windows(runs):
            async for found in searching.decide(window):
                yield found
        if runs:
            yield Found((), (), runs[-1][1])
        if searching.met_unprepared:
            self._indexer.hasten(mailbox.account_id)

    async def _read(self, statement: Statement, values: Values) -> list[Row]:
        """All searches together leave connections to others."""
        async with self._room:
            return await self._database.read(statement, values)


class _Searching:
    """One search."""

    def __init__(self, read: Read, key: dict[str, Any], query: Query, keywords: Sequence[str]) -> None:
        self._read = read
        self._key = key
        self._query = query
        self._keywords = keywords
        self._has_columns = {
            "has_flags": any(isinstance(term, Flagged) for term in query),
            "has_modseqs": any(isinstance(term, Changed) for term in query),
            "has_sizes": any(isinstance(term, Sized) for term in query),
        }
        self._tells_modseqs = any(isinstance(term, Changed) for term in query)
        self._leaves: list[tuple[int, Leaf]] = []
        for place, term in enumerate(query):
            if not isinstance(term, Operator) and (leaf := leaf_of(term)) is not None:
                self._leaves.append((place, leaf))
        # What costs least comes first, so that less is left for the rest.
        self._leaves.sort(key=lambda each: each[1].cost)
        looks_in_bodies = any(leaf.cost > 1 for _, leaf in self._leaves)
        self._rows = _FIRST_ROWS if looks_in_bodies else WINDOW * BLOCK
        self.met_unprepared = False

    async def windows(self, runs: Runs) -> AsyncIterator[Rows]:
        """What lives of these, as many together as are quick to decide."""
        blocks = WINDOW if any(self._has_columns.values()) else _WINDOW_OF_LIVE
        for first, last in _stretches(runs, blocks):
            values = {**self._key, "first": first, "last": last, **self._has_columns}
            asked = dict(each_mask(between(runs, first * BLOCK + 1, (last + 1) * BLOCK)))
            found = columns(await self._read(statements.BLOCKS, values), asked)
            rows = Rows(found.uids, found.flags, found.modseqs, found.sizes, self._keywords)
            place = 0
            while place < len(rows.uids):
                size = self._rows if self._leaves else WINDOW * BLOCK
                yield rows.between(place, place + size)
                place += size

    async def decide(self, rows: Rows) -> AsyncIterator[Found]:
        """Which of these rows answer the query; in parts, where messages must be read for it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        known = await self._by_columns(rows)
        decided = decide(self._query, known, rows.all)
        for place, leaf in self._leaves:
            if not decided.open:
                break
            known[place] = await leaf.look(self._read, self._key, rows.uids, decided.open)
            decided = decide(self._query, known, rows.all)
        seconds = loop.time() - began
        if seconds < _SHORT_SECONDS and len(rows.uids) >= self._rows:
            self._rows = min(self._rows * _GROWTH, WINDOW * BLOCK)
        elif seconds > _LONG_SECONDS:
            self._rows = max(int(self._rows * _LONG_SECONDS / seconds), _FEWEST_ROWS)
        place = 0
        if decided.open:
            self.met_unprepared = True
            async for row in scan(self._read, self._key, rows.uids, decided.open, self._leaves, known):
                decided = decide(self._query, known, rows.all)
                yield self._found(rows.between(place, row + 1), decided.sure >> place)
                place = row + 1
            decided = decide(self._query, known, rows.all)
        if place < len(rows.uids):
            yield self._found(rows.between(place, len(rows.uids)), decided.sure >> place)

    async def _by_columns(self, rows: Rows) -> list[Bounds | None]:
        known: list[Bounds | None] = []
        loop = asyncio.get_running_loop()
        until = loop.time() + _STEP_SECONDS
        for term in self._query:
            known.append(None if isinstance(term, Operator) else by_columns(term, rows))
            if loop.time() > until:
                await asyncio.sleep(0)
                until = loop.time() + _STEP_SECONDS
        return known

    def _found(self, rows: Rows, sure: int) -> Found:
        sure &= rows.all
        modseqs = chosen(sure, rows.modseqs) if self._tells_modseqs else []
        return Found(chosen(sure, rows.uids), modseqs, rows.uids[-1])


def _stretches(runs: Runs, blocks: int) -> Iterator[tuple[int, int]]:
    """First and last block of each window, from the first uid that is asked for and not in the one before."""
    place, after = 0, 0
    while (place := bisect_right(runs, after, lo=place, key=lambda run: run[1])) < len(runs):
        first = (max(runs[place][0], after + 1) - 1) // BLOCK
        yield first, first + blocks - 1
        after = (first + blocks) * BLOCK
