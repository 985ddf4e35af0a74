"""Bodies that come as a stream of parts, of Append or of Deliver: a header, then chunks.

The rule: a chunk is read from the stream when the store asks for it, so the sender is held back by the store.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from services.mail.errors import InvalidArgument, InvalidMessage
from services.mail.store.messages import INLINE_OCTETS

DISCARD_OCTETS: Final = 128 * 1024 * 1024
DISCARD_SECONDS: Final = 30.0


async def discard(parts: AsyncIterator[Any]) -> None:
    """Reads what still comes of a body that was refused.

    A sender that is cut off in the middle of a write does not learn why. Bounded: DISCARD_OCTETS, DISCARD_SECONDS.
    """
    left = DISCARD_OCTETS
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for part in parts:
                left -= len(part.chunk)
                if left < 0:
                    return


async def read_header(parts: AsyncIterator[Any]) -> Any:
    """The first part's header. Raises InvalidArgument."""
    async for part in parts:
        if part.WhichOneof("part") == "header":
            return part.header
        break
    raise InvalidArgument("the first part is the header")


async def read_chunks(parts: AsyncIterator[Any], needs_end: bool = False) -> AsyncIterator[bytes]:
    """The octets of the parts that follow.

    needs_end: the length was not announced, so the last part says it: a stream that broke looks as if it had ended.
    Raises InvalidArgument, InvalidMessage.
    """
    size = 0
    async for part in parts:
        match part.WhichOneof("part"):
            case "chunk" if len(part.chunk) <= INLINE_OCTETS:
                size += len(part.chunk)
                yield part.chunk
            case "end" if needs_end and part.end == size:
                return
            case "end" if needs_end:
                raise InvalidMessage("the body has another length than its end says")
            case _:
                raise InvalidArgument("after the header come chunks of at most 256 KB")
    if needs_end:
        raise InvalidMessage("the body has no end")
