"""Takes a body in: parsed chunk by chunk as it comes, kept whole when small, written away in chunks when large.

The rule: chunks are written before any lock, memory does not grow with the body, and an upload that no letter names is
removed: at once where possible, by the sweeper otherwise.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID, uuid4

from services.mail.errors import InvalidMessage, MessageTooLarge
from services.mail.mime import Scanner, Structure
from services.mail.store.messages import INLINE_OCTETS, Body
from services.storage.deliveries.batch import Content
from services.storage.transaction import Database, Statement

CHUNK_OCTETS: Final = 256 * 1024
_STEP: Final = 64 * 1024

# Primary key of uploads.
_BEGIN_UPLOAD: Final = Statement("begin upload", "INSERT INTO uploads (upload_id) VALUES (%(upload_id)s)")

# Primary key of body_chunks.
_WRITE_CHUNK: Final = Statement(
    "write chunk",
    "INSERT INTO body_chunks (upload_id, chunk_no, data) VALUES (%(upload_id)s, %(chunk_no)s, %(data)s)",
)

# Primary keys of uploads and body_chunks. An upload that a letter named is no longer in uploads.
_DROP_UPLOAD: Final = Statement(
    "drop upload",
    """
    WITH dropped AS (DELETE FROM uploads WHERE upload_id = %(upload_id)s RETURNING upload_id)
    DELETE FROM body_chunks WHERE upload_id = (SELECT upload_id FROM dropped)
    """,
)


class Bodies:
    """Where bodies come in. max_octets: of a message."""

    def __init__(self, database: Database, max_octets: int) -> None:
        self._database = database
        self.max_octets = max_octets

    async def take(self, body: Body, size: int | None, head: int = 0) -> Content:
        """Reads and parses a body. head: octets of the longest head that goes in front.

        Raises MessageTooLarge, InvalidMessage (another length than announced), StoreUnavailable.
        """
        if size is not None and size + head > self.max_octets:
            raise MessageTooLarge(f"at most {self.max_octets} octets")
        if isinstance(body, bytes) and size == len(body) <= _STEP:
            scanner = Scanner()
            scanner.feed(body)
            return _content(scanner.finish(), body, None)
        intake = _Intake(self._database, self.max_octets - head, size)
        try:
            async for chunk in steps(body):
                await intake.feed(chunk)
            return await intake.finish()
        except BaseException:
            await asyncio.shield(self.drop(intake.upload_id))
            raise

    async def drop(self, upload_id: UUID | None) -> None:
        """Removes an upload that no letter names."""
        if upload_id is not None:
            await self._database.write(_DROP_UPLOAD, {"upload_id": upload_id})


class _Intake:
    def __init__(self, database: Database, limit: int, size: int | None) -> None:
        self._database = database
        self._limit = limit
        self._size = size
        self._scanner = Scanner()
        self._kept = bytearray()
        self._chunk_no = 0
        self.upload_id: UUID | None = None

    async def feed(self, chunk: bytes) -> None:
        taken = self._scanner.size + len(chunk)
        if taken > self._limit:
            raise MessageTooLarge
        if self._size is not None and taken > self._size:
            raise InvalidMessage(f"longer than the {self._size} octets that were announced")
        self._scanner.feed(chunk)
        self._kept += chunk
        while len(self._kept) > INLINE_OCTETS or (
            self.upload_id is not None and len(self._kept) >= CHUNK_OCTETS
        ):
            await self._write(bytes(memoryview(self._kept)[:CHUNK_OCTETS]))
            del self._kept[:CHUNK_OCTETS]

    async def finish(self) -> Content:
        if self._size is not None and self._scanner.size != self._size:
            raise InvalidMessage(f"{self._scanner.size} octets came, {self._size} were announced")
        if self.upload_id is not None and self._kept:
            await self._write(bytes(self._kept))
        octets = bytes(self._kept) if self.upload_id is None else None
        return _content(self._scanner.finish(), octets, self.upload_id)

    async def _write(self, data: bytes) -> None:
        if self.upload_id is None:
            self.upload_id = uuid4()
            await self._database.write(_BEGIN_UPLOAD, {"upload_id": self.upload_id})
        values = {"upload_id": self.upload_id, "chunk_no": self._chunk_no, "data": data}
        await self._database.write(_WRITE_CHUNK, values)
        self._chunk_no += 1


def _content(seen: Structure, octets: bytes | None, upload_id: UUID | None) -> Content:
    return Content(
        size=seen.size,
        header=seen.header,
        encoding=seen.encoding,
        envelope=seen.envelope,
        structure=seen.structure,
        parts=seen.parts,
        digest=seen.digest,
        octets=octets,
        upload_id=upload_id,
    )


async def steps(body: Body) -> AsyncIterator[bytes]:
    """The body in pieces that are parsed in a millisecond or so; others run between them."""
    if isinstance(body, bytes):
        if len(body) <= _STEP:
            yield body
            return
        for start in range(0, len(body), _STEP):
            yield body[start : start + _STEP]
            await asyncio.sleep(0)
        return
    async for chunk in body:
        if len(chunk) <= _STEP:
            yield chunk
            continue
        for start in range(0, len(chunk), _STEP):
            yield chunk[start : start + _STEP]
            await asyncio.sleep(0)
