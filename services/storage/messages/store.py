"""Messages on PostgreSQL. The rule: what changes is decided in SQL, under the account's lock."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Final
from uuid import UUID, uuid4

from services.mail.errors import (
    InvalidArgument,
    LockLost,
    MailboxNotFound,
    MessageGone,
    OverQuota,
    StoreUnavailable,
)
from services.mail.store.mailboxes import MailboxKey, canonical_name
from services.mail.store.messages import Appended, Body, Copied, Expunged, FlagChange, Items, Page, Stored
from services.mail.store.sessions import MaildropLock
from services.mail.store.uids import BLOCK, FULL, LAST_UID, Runs, between, count, from_masks
from services.plumbing.turns import beside
from services.storage.arrays import Bigints
from services.storage.bodies import Bodies
from services.storage.deliveries import statements as delivering
from services.storage.deliveries.batch import LetterCopy, Waiting
from services.storage.gather import Gatherer
from services.storage.messages import changing, statements
from services.storage.messages.blocks import columns
from services.storage.messages.keywords import Keywords, split
from services.storage.messages.pages import Pages, read_octets
from services.storage.runs import block_arrays
from services.storage.transaction import ConnectionLost, Database, Row, Statement, Values

# No message has this octet: PostgreSQL counts those of a value in 31 bits.
_BEYOND: Final = 2**31 - 2


class PostgresMessages:
    """Implements `services.mail.store.messages.Messages`."""

    def __init__(self, database: Database, gatherer: Gatherer, bodies: Bodies, keywords: Keywords) -> None:
        self._database = database
        self._gatherer = gatherer
        self._bodies = bodies
        self._keywords = keywords

    async def append(
        self,
        mailbox: MailboxKey,
        body: Body,
        size: int,
        flags: Collection[str] = (),
        internal_at: int | None = None,
        request_id: UUID | None = None,
    ) -> Appended:
        """See the port."""
        if internal_at is not None and not -(2**40) < internal_at < 2**40:
            raise InvalidArgument("internal_at is out of range")
        content = await self._bodies.take(body, size)
        bits = await self._keywords.bits(mailbox.account_id, flags, is_adding=True) if flags else 0
        low, more = split(bits)
        copy = LetterCopy(mailbox, b"", low, more)
        waiting = Waiting(request_id or uuid4(), [copy], content, is_whole=True, internal_at=internal_at)
        outcome = (await self._gatherer.submit(waiting))[0]
        if outcome.code != delivering.STORED or outcome.is_repeated:
            await asyncio.shield(self._bodies.drop(content.upload_id))
        if outcome.code == delivering.NO_MAILBOX:
            raise MailboxNotFound
        if outcome.code == delivering.OVER_QUOTA:
            raise OverQuota
        if outcome.code == delivering.GIVEN_UP:
            raise StoreUnavailable
        return Appended(outcome.uid_validity, outcome.uid, outcome.modseq, outcome.previous_modseq)

    def fetch(self, mailbox: MailboxKey, uids: Runs, items: Items) -> AsyncIterator[Page]:
        """See the port."""
        return Pages(self._database, mailbox, uids, items).read()

    async def read(self, mailbox: MailboxKey, uid: int, start: int, end: int) -> AsyncIterator[bytes]:
        """See the port."""
        key: dict[str, Any] = {"account_id": mailbox.account_id, "mailbox_id": mailbox.mailbox_id, "uid": uid}
        is_there = False
        start = min(max(start, 0), _BEYOND)
        async for chunk in read_octets(self._database, key, start, max(min(end, _BEYOND), start)):
            is_there = True
            if chunk:
                yield chunk
        if not is_there and not await self._database.read(statements.READ, {**key, "start": 0, "end": 0}):
            raise MessageGone

    async def store(
        self,
        mailbox: MailboxKey,
        uids: Runs,
        change: FlagChange,
        flags: Collection[str],
        unchanged_since: int | None = None,
        request_id: UUID | None = None,
    ) -> Stored:
        """See the port."""
        is_adding = change is not FlagChange.REMOVE
        bits = await self._keywords.bits(mailbox.account_id, flags, is_adding=is_adding)
        low, more = split(bits)
        uids = await self._within(mailbox, uids)
        blocks, masks = await beside(len(uids), block_arrays, uids)
        clears = {FlagChange.REPLACE: -1, FlagChange.ADD: 0, FlagChange.REMOVE: low}[change]
        values = {
            **_key(mailbox),
            "blocks": blocks,
            "masks": masks,
            "clear": clears,
            "set": low if is_adding else 0,
            "set_more": Bigints(more if is_adding else ()),
            "clear_more": Bigints(() if is_adding else more),
            "clears_all": change is FlagChange.REPLACE,
            "unchanged_since": unchanged_since,
            "request_id": request_id,
        }
        rows, names = await self._write(
            mailbox.account_id,
            request_id is not None,
            (changing.STORE, values),
            (statements.KEYWORDS, {"account_id": mailbox.account_id}),
        )
        if not rows:
            raise MailboxNotFound
        return await beside(len(rows) * BLOCK, _stored, rows, [row[0] for row in names])

    async def copy(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        """See the port."""
        step = await self._copy(mailbox, uids, target, request_id, is_moving=False)
        rows = (await self._write(mailbox.account_id, request_id is not None, step))[0]
        return _copied(rows)

    async def move(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        """See the port."""
        # With an id of its own, what is removed is what was copied.
        request_id = request_id or uuid4()
        copy = await self._copy(mailbox, uids, target, request_id, is_moving=True)
        away = {**copy[1], "even_undeleted": True, "epoch": 0, "moved_by": request_id, "request_id": None}
        steps = copy, (changing.MOVE_AWAY, away)
        rows = (await self._write(mailbox.account_id, True, *steps))[0]
        return _copied(rows)

    async def _copy(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None, is_moving: bool
    ) -> tuple[Statement, dict[str, Any]]:
        uids = await self._within(mailbox, uids)
        blocks, masks = await beside(len(uids), block_arrays, uids)
        return changing.COPY, {
            **_key(mailbox),
            "blocks": blocks,
            "masks": masks,
            "is_all": False,
            "is_moving": is_moving,
            "target": canonical_name(target),
            "request_id": request_id,
        }

    async def expunge(
        self,
        mailbox: MailboxKey,
        uids: Runs | None = None,
        even_undeleted: bool = False,
        maildrop: MaildropLock | None = None,
        request_id: UUID | None = None,
    ) -> Expunged:
        """See the port."""
        asked = () if uids is None else await self._within(mailbox, uids)
        blocks, masks = await beside(len(asked), block_arrays, asked)
        values = {
            **_key(mailbox),
            "blocks": blocks,
            "masks": masks,
            "is_all": uids is None,
            "even_undeleted": even_undeleted,
            "epoch": 0 if maildrop is None else maildrop.epoch,
            "request_id": request_id,
        }
        is_repeatable = request_id is not None or (even_undeleted and uids is not None)
        rows = (await self._write(mailbox.account_id, is_repeatable, (changing.EXPUNGE, values)))[0]
        if not rows:
            raise MailboxNotFound
        previous_modseq, highest_modseq, is_held, found, hits, answer = rows[0]
        if answer:
            previous_modseq, highest_modseq = answer[0]
            found, hits = [row[0] for row in answer[1:]], [row[1] for row in answer[1:]]
        elif not is_held:
            raise LockLost
        gone = await beside(len(found), from_masks, found, hits) if found else ()
        return Expunged(gone, previous_modseq, highest_modseq)

    async def _within(self, mailbox: MailboxKey, uids: Runs) -> Runs:
        """The uids that can be there, so that 1:4294967295 is not sixty million blocks."""
        uids = between(uids, 1, LAST_UID)
        if count(uids) <= 16 * BLOCK:
            return uids
        rows = await self._database.read(statements.UID_NEXT, _key(mailbox))
        if not rows:
            raise MailboxNotFound
        return between(uids, 1, rows[0][0] - 1)

    async def _write(
        self, account_id: int, is_repeatable: bool, *steps: tuple[Statement, Values]
    ) -> list[list[Row]]:
        """One transaction; where a connection was lost, it is made again if that does no harm."""
        try:
            found = await self._database.transact([account_id], *steps)
        except ConnectionLost:
            if not is_repeatable:
                raise
            found = await self._database.transact([account_id], *steps)
        return found


def _key(mailbox: MailboxKey) -> dict[str, Any]:
    return {"account_id": mailbox.account_id, "mailbox_id": mailbox.mailbox_id}


def _copied(rows: list[Row]) -> Copied:
    if not rows:
        raise MailboxNotFound
    uid_validity, first, messages, fits, answer, found, hits = rows[0]
    if answer:
        uid_validity, first, messages = answer[0]
        found, hits = [row[0] for row in answer[1:]], [row[1] for row in answer[1:]]
    elif not fits:
        raise OverQuota
    if not messages:
        return Copied(uid_validity, (), ())
    return Copied(uid_validity, from_masks(found, hits), ((first, first + messages - 1),))


def _stored(rows: list[Row], keywords: list[str]) -> Stored:
    previous_modseq, highest_modseq, answer = rows[0][:3]
    there = [row[3:] for row in rows if row[3] is not None]
    found = columns(
        ((block, asked, flags, modseqs, None, more) for block, asked, _, _, flags, modseqs, more in there),
        {row[0]: FULL for row in there},
    )
    blocks, changes, conflicts = ([row[place] for row in there] for place in (0, 2, 3))
    if answer:
        previous_modseq, highest_modseq = answer[0][:2]
        blocks, changes, conflicts = ([row[place] for row in answer[1:]] for place in range(3))
    return Stored(
        uids=found.uids,
        flags=found.flags,
        modseqs=found.modseqs,
        changed=from_masks(blocks, changes),
        modified=from_masks(blocks, conflicts),
        previous_modseq=previous_modseq,
        highest_modseq=highest_modseq,
        keywords=keywords,
    )
