"""Calls, each sent until a copy answers it or its time is over.

The rule: a call that a copy may have begun is sent again only if it is repeatable: a pure read, one with a request id,
or one that has the same effect twice. Everything else becomes StoreUnavailable.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from restante.v1 import (
    accounts_pb2,
    aliases_pb2,
    changes_pb2,
    credentials_pb2,
    exchange_pb2,
    imports_pb2,
    mailboxes_pb2,
    messages_pb2,
    search_pb2,
    sessions_pb2,
    traces_pb2,
    upkeep_pb2,
)

from services.mail.errors import StoreUnavailable
from services.plumbing.rpc.client.copies import Copies
from services.plumbing.rpc.client.link import Asked, Link
from services.plumbing.rpc.errors import LinkLost, NotTaken, from_status

R = TypeVar("R", bound=Message)

_SHORTEST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: for a read, for a write, and for finding a copy before anything is sent.

    unread: for a reader that does not come back, before its stream is let go; a channel has only so many.
    """

    read: float = 10.0
    write: float = 30.0
    find: float = 10.0
    unread: float = 2.0


def _exchange_fields() -> dict[str, int]:
    fields = exchange_pb2.Call.DESCRIPTOR.oneofs_by_name["request"].fields
    return {cast("Descriptor", field.message_type).full_name: field.number for field in fields}


def _paths() -> dict[str, str]:
    modules = (
        accounts_pb2,
        mailboxes_pb2,
        messages_pb2,
        search_pb2,
        imports_pb2,
        changes_pb2,
        sessions_pb2,
        traces_pb2,
        upkeep_pb2,
        aliases_pb2,
        credentials_pb2,
    )
    return {
        method.input_type.full_name: f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


# What a request rides: the exchange where it has a field there, else the rpc that takes it.
FIELDS: Final = _exchange_fields()
PATHS: Final = _paths()


class Calls:
    """What the nouns of the client call with."""

    def __init__(self, copies: Copies, patience: Patience) -> None:
        self.copies = copies
        self.patience = patience

    async def read(self, request: Message, kind: type[R]) -> R:
        """A call that changes nothing, or the same thing however often it is made."""
        return self.one(await self.ask(request, kind, True, self.patience.read), kind)

    async def write(self, request: Message, kind: type[R], is_repeatable: bool) -> R:
        """A call that changes something."""
        return self.one(await self.ask(request, kind, is_repeatable, self.patience.write), kind)

    async def write_encoded(self, field: int, payload: bytes, kind: type[R]) -> R:
        """The same, repeatable, of a request on the exchange that is encoded already."""
        return self.one(await self._send(field, "", payload, kind, True, self.patience.write), kind)

    @staticmethod
    def one(asked: Asked, kind: type[R]) -> R:
        """The answer of a call that has one."""
        part = asked.parts[0]
        assert isinstance(part, kind)
        return part

    async def ask(self, request: Message, kind: type[Message], is_repeatable: bool, seconds: float) -> Asked:
        """Raises StoreUnavailable, StorageFailed, and what the rpc refuses with."""
        name = request.DESCRIPTOR.full_name
        return await self._send(
            FIELDS.get(name), name, request.SerializeToString(), kind, is_repeatable, seconds
        )

    async def _send(
        self,
        field: int | None,
        name: str,
        payload: bytes,
        kind: type[Message],
        is_repeatable: bool,
        seconds: float,
    ) -> Asked:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            link = self.copies.ready() or await self.copies.pick(
                min(self.patience.find, deadline - loop.time())
            )
            try:
                left = deadline - loop.time()
                if field is not None:
                    return await link.ask(field, payload, left)
                return await call_alone(link, PATHS[name], payload, kind, left)
            except NotTaken:
                pass
            except LinkLost:
                if not is_repeatable:
                    raise StoreUnavailable("storage went away before it answered") from None
            await pause(deadline)

    async def stream(
        self, make_request: Callable[[], Message | None], kind: type[R]
    ) -> AsyncGenerator[R, None]:
        """Parts of a server stream of its own, taken up where a copy goes away, or the reader was away for too long.

        make_request: what is still wanted, or None at the end; asked at the start and after every interruption.
        Raises StoreUnavailable, StorageFailed, and what the rpc refuses with.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience.read
        while (request := make_request()) is not None:
            link = await self.copies.pick(self.patience.find)
            try:
                async with aclosing(read_stream(link, request, kind, self.patience)) as parts:
                    async for part in parts:
                        yield part
                        deadline = loop.time() + self.patience.read
                    return
            except (NotTaken, LinkLost):
                await pause(deadline)


async def pause(deadline: float) -> None:
    """A moment before the next try. Raises StoreUnavailable when the time is over."""
    await asyncio.sleep(random.uniform(_SHORTEST_PAUSE, _LONGEST_PAUSE))  # noqa: S311 - not a secret
    if asyncio.get_running_loop().time() >= deadline:
        raise StoreUnavailable("storage did not answer in time")


async def call_alone(link: Link, path: str, payload: bytes, kind: type[Message], seconds: float) -> Asked:
    """A unary call, always with a deadline."""
    call: Any = link.channel.unary_unary(path, None, kind.FromString)
    with link.held(is_call=True):
        try:
            answer = await call(payload, timeout=seconds, metadata=link.metadata)
        except grpc.aio.AioRpcError as error:
            raise from_status(error) from None
    return Asked([answer])


async def read_stream(
    link: Link, request: Message, kind: type[R], patience: Patience
) -> AsyncGenerator[R, None]:
    """The parts that one copy sends; the next is taken from the wire when it is asked for.

    Raises NotTaken, LinkLost (also where it was let go, since nobody read it), StoreUnavailable, and what the rpc
    refuses with.
    """
    path = PATHS[request.DESCRIPTOR.full_name]
    loop = asyncio.get_running_loop()
    with ExitStack() as stream:
        stream.enter_context(link.held())
        open_stream: Any = link.channel.unary_stream(path, None, kind.FromString)
        call = open_stream(request.SerializeToString(), metadata=link.metadata)
        stream.callback(call.cancel)
        try:
            while True:
                async with asyncio.timeout(patience.read):
                    part = await call.read()
                if part is grpc.aio.EOF:
                    return
                letting_go = loop.call_later(patience.unread, stream.close)
                try:
                    yield cast("R", part)
                finally:
                    letting_go.cancel()
                if call.cancelled():
                    raise LinkLost("let go while nobody read it")
        except grpc.aio.AioRpcError as error:
            raise from_status(error) from None
        except TimeoutError:
            raise StoreUnavailable("storage did not answer in time") from None
