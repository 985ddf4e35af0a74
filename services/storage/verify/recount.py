"""Goes through every account and names whatever does not add up.

The rule: it only reads; and what went while it was looked at is no drift.
"""

import asyncio
import hashlib
from array import array
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import count
from typing import Final
from uuid import UUID

from services.mail.errors import AccountUnknown
from services.mail.mime import Scanner, Structure
from services.mail.store.upkeep import Verified
from services.storage.bodies import steps
from services.storage.transaction import Database
from services.storage.verify import statements

CHECKS: Final = (
    statements.COUNTERS,
    statements.NAMES,
    statements.ROWS,
    statements.LEFT,
    statements.LOG,
)


class PostgresUpkeep:
    """Implements `services.mail.store.upkeep.Upkeep`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def verify(
        self, account_id: int = 0, after_account_id: int = 0, after_body_id: int = 0
    ) -> AsyncGenerator[Verified, None]:
        """See the port."""
        if account_id:
            if not await self._database.read(statements.ACCOUNT, {"account_id": account_id}):
                raise AccountUnknown
            if after_body_id or after_account_id < account_id:
                async for step in self._verify(account_id, after_body_id):
                    yield step
            return
        if after_body_id:
            async for step in self._verify(after_account_id, after_body_id):
                yield step
        after = after_account_id
        while rows := await self._database.read(statements.ACCOUNTS, {"after": after}):
            for (each,) in rows:
                async for step in self._verify(each, 0):
                    yield step
            after = rows[-1][0]

    async def _verify(self, account_id: int, after: int) -> AsyncIterator[Verified]:
        """The steps of one account; the first tells of its counters too."""
        drifts: list[str] = []
        if not after:
            for check in CHECKS:
                drifts += [text for (text,) in await self._database.read(check, {"account_id": account_id})]
            if drifts and not await self._database.read(statements.ACCOUNT, {"account_id": account_id}):
                drifts.clear()
        bodies = octets = 0
        made = _Made()
        while rows := await self._database.read(
            statements.BODIES, {"account_id": account_id, "after": after}
        ):
            for body_id, size, head, kept, content, upload_id, *parsed in rows:
                seen = await self._scan(content or b"", upload_id)
                wrong = []
                if seen.digest != bytes(kept):
                    wrong.append(f"body {body_id}: the octets are not those that came in")
                elif parsed != [seen.header, seen.encoding, seen.parts]:
                    wrong.append(f"body {body_id}: its parts are not those of its octets")
                else:
                    made.add(body_id, seen.envelope, seen.structure)
                if seen.size + head != size:
                    wrong.append(f"body {body_id}: {seen.size + head} octets, kept as {size}")
                key = {"account_id": account_id, "body_id": body_id}
                if wrong and await self._database.read(statements.BODY, key):
                    drifts += wrong
                bodies, octets = bodies + 1, octets + seen.size
            after = rows[-1][0]
            yield Verified(account_id, after, False, bodies, octets, drifts)
            drifts, bodies, octets = [], 0, 0
        async for some in self._compare(account_id, made):
            yield Verified(account_id, after, False, 0, 0, some)
        yield Verified(account_id, 0, True, bodies, octets, drifts)

    async def _scan(self, content: bytes, upload_id: UUID | None) -> Structure:
        """What the octets of a body say."""
        scanner = Scanner()
        async for octets in steps(content if upload_id is None else self._chunks(upload_id)):
            scanner.feed(octets)
            await asyncio.sleep(0)
        return scanner.finish()

    async def _chunks(self, upload_id: UUID) -> AsyncIterator[bytes]:
        """The chunks of an upload, up to the first that is missing."""
        for number in count():
            rows = await self._database.read(statements.CHUNK, {"upload_id": upload_id, "chunk_no": number})
            if not rows:
                return
            yield rows[0][0]

    async def _compare(self, account_id: int, made: "_Made") -> AsyncIterator[list[str]]:
        """Messages whose envelope or structure is not what their bodies say, some hundred at a time."""
        at = {"mailbox_id": 0, "uid": 0}
        while rows := await self._database.read(statements.MADE, {"account_id": account_id, **at}):
            yield [
                f"mailbox {mailbox_id} uid {uid}: its envelope or structure is not that of its octets"
                for mailbox_id, uid, body_id, envelope, structure in rows
                if not made.holds(body_id, envelope, structure)
            ]
            at = {"mailbox_id": rows[-1][0], "uid": rows[-1][1]}


class _Made:
    """What bodies say, in 16 octets of memory for each."""

    def __init__(self) -> None:
        self._ids = array("q")
        self._marks = array("Q")

    def add(self, body_id: int, envelope: bytes, structure: bytes) -> None:
        """Of the next body, by rising numbers."""
        self._ids.append(body_id)
        self._marks.append(_mark(envelope, structure))

    def holds(self, body_id: int, envelope: bytes, structure: bytes) -> bool:
        """Whether this is what the body says; what is not known of it is nobody's fault."""
        place = bisect_left(self._ids, body_id)
        if place == len(self._ids) or self._ids[place] != body_id:
            return True
        return self._marks[place] == _mark(envelope, structure)


def _mark(envelope: bytes, structure: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(b"%b\0%b" % (envelope, structure), digest_size=8).digest())


async def drifts(database: Database) -> AsyncIterator[str]:
    """One line for each drift, led by its account. Raises StoreUnavailable."""
    async for step in PostgresUpkeep(database).verify():
        for text in step.drifts:
            yield f"account {step.account_id}: {text}"
