"""Which messages a fetch brings, page by page: flag blocks first, then the rows of the messages in them.

The rule: a page is a short transaction or two, nothing is held while the reader is slow, and what is read ahead is
bounded: BLOCKS_AHEAD blocks of flags, and the page behind the one that is being taken.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from services.mail.errors import MailboxNotFound
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items, Page
from services.mail.store.uids import LAST_UID, Runs, between, each_mask, intersect
from services.storage.arrays import Bigints
from services.storage.messages import statements
from services.storage.messages.blocks import Columns, columns
from services.storage.runs import from_multirange
from services.storage.transaction import Database, Row, Statement

PAGE_ROWS: Final = 1000
PAGE_OCTETS: Final = 1024 * 1024
BLOCKS_AHEAD: Final = 160
# What a listing's row takes, roughly, beside the octets of bodies.
_ROW_OCTETS: Final = 1000

_OF_BODIES: Final = Items.PARTS | Items.HEADER | Items.BODY
_OF_MESSAGES: Final = Items.INTERNALDATE | Items.ENVELOPE | Items.STRUCTURE


class Pages:
    """One fetch."""

    def __init__(self, database: Database, mailbox: MailboxKey, uids: Runs, items: Items) -> None:
        self._database = database
        self._key: dict[str, Any] = {"account_id": mailbox.account_id, "mailbox_id": mailbox.mailbox_id}
        self._uids = uids
        self._items = items
        self._keywords: Sequence[str] = ()

    async def read(self) -> AsyncIterator[Page]:
        """The pages. Raises MailboxNotFound."""
        uids = between(self._uids, 1, LAST_UID)
        span = {"first": uids[0][0], "last": uids[-1][1]} if uids else {"first": 1, "last": 0}
        rows = await self._database.read(statements.MAILBOX, {**self._key, **span})
        if not rows:
            raise MailboxNotFound
        uid_next, self._keywords, gone = rows[0]
        runs = between(uids, 1, uid_next - 1)
        ahead: asyncio.Task[Page] | None = None
        try:
            async for found in self._blocks(runs, from_multirange(gone)):
                for first, last in self._cut(found):
                    page, ahead = ahead, asyncio.create_task(self._page(found, first, last))
                    if page is not None:
                        yield await page
            if ahead is not None:
                yield await ahead
        finally:
            if ahead is not None and not ahead.cancel():
                ahead.exception()  # nobody is there to hear of it

    async def _blocks(self, runs: Runs, gone: Runs) -> AsyncIterator[Columns]:
        """The blocks that the runs touch, some at a time: by range where they are close, else by list."""
        kept = dict(each_mask(intersect(gone, runs)))
        left = each_mask(runs)
        while asked := dict(islice(left, BLOCKS_AHEAD)):
            first, last = min(asked), max(asked)
            if last - first + 1 <= 2 * len(asked):
                values = {**self._key, "first": first, "last": last, "limit": 2 * BLOCKS_AHEAD}
                rows = await self._database.read(statements.BLOCKS, values)
            else:
                values = {**self._key, "blocks": Bigints(asked)}
                rows = await self._database.read(statements.SOME_BLOCKS, values)
            found = columns(rows, asked, kept)
            if found.uids:
                yield found

    def _cut(self, found: Columns) -> Iterator[tuple[int, int]]:
        """Where pages begin and end."""
        weighs_bodies = bool(self._items & Items.BODY)
        row = _ROW_OCTETS if self._items & ~(Items.FLAGS | Items.MODSEQ | Items.SIZE) else 0
        first = octets = 0
        for position, size in enumerate(found.sizes):
            weight = row + (size if weighs_bodies and size <= INLINE_OCTETS else 0)
            if position > first and (position - first >= PAGE_ROWS or octets + weight > PAGE_OCTETS):
                yield first, position
                first, octets = position, 0
            octets += weight
        yield first, len(found.sizes)

    async def _page(self, found: Columns, first: int, last: int) -> Page:
        items = self._items
        uids = found.uids[first:last]
        page: dict[str, Any] = {"uids": uids}
        if items & Items.FLAGS:
            page |= {"flags": found.flags[first:last], "keywords": self._keywords}
        if items & Items.MODSEQ:
            page["modseqs"] = found.modseqs[first:last]
        if items & Items.SIZE:
            page["sizes"] = found.sizes[first:last]
        if not items & (_OF_MESSAGES | _OF_BODIES):
            return Page(**page)
        rows = await self._rows(uids)
        if len(rows) != len(uids):
            # The sweeper has just removed what went a while ago.
            there = {row[0] for row in rows}
            keep = [place for place, uid in enumerate(uids) if uid in there]
            for name in page.keys() & {"uids", "flags", "modseqs", "sizes"}:
                page[name] = [page[name][place] for place in keep]
        return await self._with_columns(page, rows)

    async def _rows(self, uids: Sequence[int]) -> list[Row]:
        """Rows by range where the uids are close together, else one by one."""
        values: dict[str, Any] = dict(self._key)
        is_range = uids[-1] - uids[0] + 1 <= len(uids) + len(uids) // 2
        if is_range:
            values |= {"first": uids[0], "last": uids[-1]}
        else:
            values["uids"] = Bigints(uids)
        statement: Statement
        if self._items & _OF_BODIES:
            values |= {
                "has_header": bool(self._items & Items.HEADER),
                "has_body": bool(self._items & Items.BODY),
                "inline": INLINE_OCTETS,
            }
            statement = statements.BODY_RANGE if is_range else statements.BODY_SOME
        else:
            statement = statements.LIST_RANGE if is_range else statements.LIST_SOME
        rows = await self._database.read(statement, values)
        if is_range and len(rows) > len(uids):
            asked = set(uids)
            rows = [row for row in rows if row[0] in asked]
        return rows

    async def _with_columns(self, page: dict[str, Any], rows: Sequence[Row]) -> Page:
        items = self._items
        if items & Items.INTERNALDATE:
            page["internal_at"] = [row[1] for row in rows]
        if items & Items.ENVELOPE:
            page["envelopes"] = [row[2] for row in rows]
        if items & Items.STRUCTURE:
            page["structures"] = [row[3] for row in rows]
        if items & Items.PARTS:
            page["parts"] = [row[4] for row in rows]
            page["heads"] = [row[5] for row in rows]
        if items & Items.HEADER:
            page["headers"] = [row[6] if row[6] is not None else await self._header(row) for row in rows]
        if items & Items.BODY:
            page["bodies"] = [row[7] for row in rows]
        return Page(**page)

    async def _header(self, row: Row) -> bytes:
        """The header of a body that lies in chunks."""
        values = {**self._key, "uid": row[0]}
        return b"".join([chunk async for chunk in read_octets(self._database, values, 0, row[8])])


async def read_octets(database: Database, key: dict[str, Any], start: int, end: int) -> AsyncIterator[bytes]:
    """The octets [start, end) of a message, in chunks of at most 256 KB; nothing where it is gone.

    key: account_id, mailbox_id, uid.
    """
    rows = await database.read(statements.READ, {**key, "start": start, "end": end})
    if not rows:
        return
    size, head, upload_id, content = rows[0]
    end = min(end, size)
    if start < len(head):
        yield head[start:end]
    if content is not None:
        for place in range(0, len(content), INLINE_OCTETS):
            yield content[place : place + INLINE_OCTETS]
        return
    start, end = max(start - len(head), 0), end - len(head)
    while upload_id is not None and start < end:
        first = start // INLINE_OCTETS
        values = {"upload_id": upload_id, "first": first, "last": min(first + 3, (end - 1) // INLINE_OCTETS)}
        chunks = await database.read(statements.READ_CHUNKS, values)
        if not chunks:
            return
        for (data,) in chunks:
            base = first * INLINE_OCTETS
            yield data[start - base : end - base]
            first += 1
            start = first * INLINE_OCTETS
