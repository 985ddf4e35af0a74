"""Goes through every account and names whatever does not add up.

The rule: it only reads; and what went while it was looked at is no drift.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final
from uuid import UUID

from services.mail.errors import AccountUnknown
from services.mail.store.upkeep import Verified
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
        while rows := await self._database.read(
            statements.BODIES, {"account_id": account_id, "after": after}
        ):
            for body_id, size, head, kept, content, upload_id in rows:
                digest, length = hashlib.sha256(content or b""), len(content or b"")
                if upload_id is not None:
                    length = await self._add_chunks(upload_id, digest)
                wrong = []
                if digest.digest() != bytes(kept):
                    wrong.append(f"body {body_id}: the octets are not those that came in")
                if length + head != size:
                    wrong.append(f"body {body_id}: {length + head} octets, kept as {size}")
                key = {"account_id": account_id, "body_id": body_id}
                if wrong and await self._database.read(statements.BODY, key):
                    drifts += wrong
                bodies, octets = bodies + 1, octets + length
                await asyncio.sleep(0)
            after = rows[-1][0]
            yield Verified(account_id, after, False, bodies, octets, drifts)
            drifts, bodies, octets = [], 0, 0
        yield Verified(account_id, 0, True, bodies, octets, drifts)

    async def _add_chunks(self, upload_id: UUID, digest: "hashlib._Hash") -> int:
        octets = number = 0
        while rows := await self._database.read(
            statements.CHUNK, {"upload_id": upload_id, "chunk_no": number}
        ):
            digest.update(rows[0][0])
            octets += len(rows[0][0])
            number += 1
        return octets


async def drifts(database: Database) -> AsyncIterator[str]:
    """One line for each drift, led by its account. Raises StoreUnavailable."""
    async for step in PostgresUpkeep(database).verify():
        for text in step.drifts:
            yield f"account {step.account_id}: {text}"
