"""Bodies on their way to storage: small ones in one piece on the exchange, others on a stream of their own.

The rule: never more than INLINE_OCTETS and two chunks of a body are held; the next is asked for when the one before the
last has left.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing
from typing import Any, Final, TypeVar, cast

import grpc
from google.protobuf.message import Message
from restante.v1.deliveries_pb2 import DeliverRequest

from services.mail.errors import StoreUnavailable
from services.mail.store.messages import INLINE_OCTETS, Body
from services.plumbing.rpc.client.calls import Calls, pause
from services.plumbing.rpc.client.link import Link
from services.plumbing.rpc.errors import LinkLost, NotTaken, from_status
from services.plumbing.rpc.frames import number_field, octets_field

R = TypeVar("R", bound=Message)

CHUNK: Final = 128 * 1024
# The fields of AppendRequest and DeliverRequest.
_HEADER: Final = 1
_CHUNK: Final = 2
_END: Final = 3


class Unsettled(Exception):
    """Storage had all of a body and went away, or said nothing for too long: whether it was stored is not known."""


async def start_of(body: Body) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """All of a body and None, or its first octets, more than INLINE_OCTETS, and the rest."""
    if isinstance(body, bytes):
        return (body, None) if len(body) <= INLINE_OCTETS else (b"", pieces(body))
    start: list[bytes] = []
    size = 0
    chunks = aiter(body)
    async for chunk in chunks:
        start.append(chunk)
        size += len(chunk)
        if size > INLINE_OCTETS:
            return b"".join(start), chunks
    return b"".join(start), None


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body in chunks."""
    view = memoryview(body)
    for start in range(0, len(body), CHUNK):
        yield bytes(view[start : start + CHUNK])


async def even_chunks(start: bytes, rest: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """The same octets in chunks of CHUNK and a last shorter one."""
    waiting = bytearray(start)
    async for chunk in rest:
        while len(waiting) >= CHUNK:
            yield bytes(waiting[:CHUNK])
            del waiting[:CHUNK]
        waiting += chunk
    for place in range(0, len(waiting), CHUNK):
        yield bytes(waiting[place : place + CHUNK])


async def upload(
    calls: Calls,
    path: str,
    header: Message,
    body: Body,
    start: bytes,
    rest: AsyncIterator[bytes],
    kind: type[R],
) -> R:
    """Sends a large body.

    A body that is octets is sent again where that is safe: header has a request id. An iterator can be read once only.
    Raises StoreUnavailable, StorageFailed, what the rpc refuses with, and Unsettled where header has a request id.
    """
    has_id = bool(cast("Any", header).request_id)
    is_repeatable = isinstance(body, bytes) and has_id
    loop = asyncio.get_running_loop()
    deadline = loop.time() + calls.patience.write
    while True:
        link = await calls.copies.pick(calls.patience.find)
        try:
            return await send(
                link, path, encoded(header, even_chunks(start, rest)), kind, calls.patience.write
            )
        except (NotTaken, LinkLost, Unsettled) as error:
            if not is_repeatable:
                if has_id and isinstance(error, Unsettled):
                    raise
                raise StoreUnavailable("storage went away before it answered") from None
        await pause(deadline)
        assert isinstance(body, bytes)
        rest = pieces(body)


async def encoded(header: Message, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The parts of an upload; an end where the header does not say how long the body is."""
    yield octets_field(_HEADER, header.SerializeToString())
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            size += len(chunk)
            yield octets_field(_CHUNK, chunk)
    if isinstance(header, DeliverRequest.Header) and not header.HasField("size"):
        yield number_field(_END, size)


async def send(link: Link, path: str, parts: AsyncGenerator[bytes, None], kind: type[R], seconds: float) -> R:
    """One try. seconds: for each part, and for the answer after the last."""
    is_whole = False
    with link.held():
        call: Any = link.channel.stream_unary(path, None, kind.FromString)(metadata=link.metadata)
        try:
            async with aclosing(parts):
                part: bytes | None = await anext(parts)
                while part is not None:
                    following = await anext(parts, None)
                    # Known before the last is sent: it may have arrived though its writing failed.
                    is_whole = following is None
                    if not await write(call, part, seconds):
                        break
                    part = following
                else:
                    await call.done_writing()
            async with asyncio.timeout(seconds):
                return cast("R", await call)
        except grpc.aio.AioRpcError as error:
            failure = from_status(error)
            raise Unsettled if is_whole and isinstance(failure, LinkLost) else failure from None
        except TimeoutError:
            if is_whole:
                raise Unsettled from None
            raise StoreUnavailable("storage did not take the message in time") from None
        finally:
            call.cancel()


async def write(call: Any, octets: bytes, seconds: float) -> bool:
    """Sends a part; False where the call has ended already, and its status tells why."""
    try:
        async with asyncio.timeout(seconds):
            await call.write(octets)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return False
    return True
