"""Bodies that come as a stream of parts, of Append or of Deliver: a header, then chunks.

The rule: a chunk is read from the stream when the store asks for it, so the sender is held back by the store.
"""

from collections.abc import AsyncIterator
from typing import Any

from services.mail.errors import InvalidArgument
from services.mail.store.messages import INLINE_OCTETS


async def read_header(parts: AsyncIterator[Any]) -> Any:
    """The first part's header. Raises InvalidArgument."""
    async for part in parts:
        if part.WhichOneof("part") == "header":
            return part.header
        break
    raise InvalidArgument("the first part is the header")


async def read_chunks(parts: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    """The octets of the parts that follow. Raises InvalidArgument."""
    async for part in parts:
        if part.WhichOneof("part") != "chunk" or len(part.chunk) > INLINE_OCTETS:
            raise InvalidArgument("after the header come chunks of at most 256 KB")
        yield part.chunk
