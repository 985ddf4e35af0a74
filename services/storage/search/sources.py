"""A body's texts, read from its octets where they are not kept. The rule: it gives way after every step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.mail.message import HEADER_LIMIT
from services.mail.mime import PartMap
from services.mail.search import bodies, texts
from services.mail.store.messages import INLINE_OCTETS
from services.storage.messages.statements import READ_CHUNKS
from services.storage.transaction import Row, Statement, Values

Read = Callable[[Statement, Values], Awaitable[list[Row]]]

_CHUNKS_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Source:
    """The columns of `bodies` that hold a message. header: octets of the content up to and with the empty line.

    rows: how chunks are read.
    """

    rows: Read
    head: bytes
    header: int
    parts: PartMap
    upload_id: UUID | None
    content: bytes | None

    @classmethod
    def of(cls, read: Read, row: Row) -> "Source":
        """From head, header, parts, upload_id, content."""
        head, header, parts, upload_id, content = row
        return cls(read, head, header, PartMap.decode(parts, 0), upload_id, content)

    async def chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The octets [start, end) of the content."""
        if self.content is not None:
            yield self.content[start:end]
            return
        while self.upload_id is not None and start < end:
            first = start // INLINE_OCTETS
            last = min(first + _CHUNKS_AT_ONCE - 1, (end - 1) // INLINE_OCTETS)
            values = {"upload_id": self.upload_id, "first": first, "last": last}
            rows = await self.rows(READ_CHUNKS, values)
            if not rows:
                return
            for (data,) in rows:
                base = first * INLINE_OCTETS
                yield data[start - base : end - base]
                first += 1
                start = first * INLINE_OCTETS

    async def read(self, start: int, end: int) -> bytes:
        """The same as one, at most HEADER_LIMIT octets."""
        return b"".join([chunk async for chunk in self.chunks(start, min(end, start + HEADER_LIMIT))])

    async def own_header(self) -> bytes:
        """The header of the message itself."""
        return self.head + await self.read(0, self.header)

    async def folded_header(self, own: bytes) -> str:
        """All header fields, those of the parts included. own: the message's own header."""
        inner = [await self.read(*span) for span in texts.inner_headers(self.parts)]
        return texts.fold_header(own) + texts.fold_inner(iter(inner))

    async def body_texts(self) -> AsyncIterator[tuple[int, str, str]]:
        """Pieces of the text parts: which part, its text, and what is seen of it where that is another."""
        told = 0
        for number, part in enumerate(texts.text_parts(self.parts)):
            body = bodies.BodyText(part, await self.read(part.header_start, part.body_start))
            async for chunk in self.chunks(part.body_start, part.end):
                for text, seen in body.feed(chunk):
                    yield number, text, seen
                    await asyncio.sleep(0)
            for text, seen in body.finish():
                yield number, text, seen
                told += len(text)
                if told >= bodies.STEP:
                    told = 0
                    await asyncio.sleep(0)
