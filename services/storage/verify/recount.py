"""Goes through every account and names whatever does not add up. The rule: it only reads."""

import hashlib
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID

from services.storage.transaction import Database
from services.storage.verify import statements

CHECKS: Final = (statements.COUNTERS, statements.NAMES, statements.ROWS, statements.LOG)


async def drifts(database: Database) -> AsyncIterator[str]:
    """One line for each drift, led by its account. Raises StoreUnavailable."""
    after = 0
    while rows := await database.read(statements.ACCOUNTS, {"after": after}):
        for (account_id,) in rows:
            for check in CHECKS:
                for (text,) in await database.read(check, {"account_id": account_id}):
                    yield f"account {account_id}: {text}"
            async for text in _bodies(database, account_id):
                yield f"account {account_id}: {text}"
        after = rows[-1][0]


async def _bodies(database: Database, account_id: int) -> AsyncIterator[str]:
    after = 0
    while rows := await database.read(statements.BODIES, {"account_id": account_id, "after": after}):
        for body_id, size, head, kept, content, upload_id in rows:
            digest, octets = hashlib.sha256(content or b""), len(content or b"")
            if upload_id is not None:
                octets = await _add_chunks(database, upload_id, digest)
            if digest.digest() != bytes(kept):
                yield f"body {body_id}: the octets are not those that came in"
            if octets + head != size:
                yield f"body {body_id}: {octets + head} octets, kept as {size}"
        after = rows[-1][0]


async def _add_chunks(database: Database, upload_id: UUID, digest: "hashlib._Hash") -> int:
    octets = number = 0
    while rows := await database.read(statements.CHUNK, {"upload_id": upload_id, "chunk_no": number}):
        digest.update(rows[0][0])
        octets += len(rows[0][0])
        number += 1
    return octets
