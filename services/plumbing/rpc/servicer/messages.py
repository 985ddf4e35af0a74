"""MessagesService. The rule: see the package."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from restante.v1 import exchange_pb2
from restante.v1 import messages_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.messages import Appended, Body, Messages, Page
from services.plumbing.rpc.convert import messages as convert
from services.plumbing.rpc.convert import uids
from services.plumbing.rpc.frames import octets_field
from services.plumbing.rpc.servicer.uploads import read_chunks, read_header


class MessagesServicer:
    """Answers MessagesService from a store."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    async def append(self, parts: AsyncIterator[pb.AppendRequest]) -> pb.AppendResponse:
        header = await read_header(parts)
        return convert.appended_to_wire(await self._append(header, read_chunks(parts)))

    async def append_inline(self, request: exchange_pb2.InlineAppend) -> pb.AppendResponse:
        return convert.appended_to_wire(await self._append(request.header, request.body))

    async def _append(self, header: pb.AppendRequest.Header, body: Body) -> Appended:
        return await self._messages.append(
            uids.key_from_wire(header.mailbox),
            body,
            header.size,
            tuple(header.flags),
            header.internal_at if header.HasField("internal_at") else None,
            uids.optional_id(header.request_id),
        )

    async def fetch(self, request: pb.FetchRequest) -> AsyncIterator[bytes]:
        pages = self._messages.fetch(
            uids.key_from_wire(request.mailbox),
            uids.asked_runs(request.uids),
            convert.items_from_wire(request.items),
        )
        async with aclosing(cast("AsyncGenerator[Page, None]", pages)):
            async for page in pages:
                for part in convert.page_to_wire(page):
                    yield part

    async def read(self, request: pb.ReadRequest) -> AsyncIterator[bytes]:
        if request.start > request.end:
            raise InvalidArgument("a range ends where it starts, or later")
        chunks = self._messages.read(
            uids.key_from_wire(request.mailbox), request.uid, request.start, request.end
        )
        async with aclosing(cast("AsyncGenerator[bytes, None]", chunks)):
            async for chunk in chunks:
                yield octets_field(pb.ReadResponse.CHUNK_FIELD_NUMBER, chunk)

    async def store(self, request: pb.StoreRequest) -> AsyncIterator[pb.StoreResponse]:
        stored = await self._messages.store(
            uids.key_from_wire(request.mailbox),
            uids.asked_runs(request.uids),
            convert.change_from_wire(request.change),
            tuple(request.flags),
            request.unchanged_since if request.HasField("unchanged_since") else None,
            uids.optional_id(request.request_id),
        )
        for part in convert.stored_to_wire(stored):
            yield part

    async def copy(self, request: pb.CopyRequest) -> pb.CopyResponse:
        copied = await self._messages.copy(
            uids.key_from_wire(request.mailbox),
            uids.asked_runs(request.uids),
            request.target,
            uids.optional_id(request.request_id),
        )
        return convert.copied_to_wire(copied)

    async def move(self, request: pb.MoveRequest) -> pb.MoveResponse:
        moved = await self._messages.move(
            uids.key_from_wire(request.mailbox),
            uids.asked_runs(request.uids),
            request.target,
            uids.optional_id(request.request_id),
        )
        return convert.moved_to_wire(moved)

    async def expunge(self, request: pb.ExpungeRequest) -> pb.ExpungeResponse:
        expunged = await self._messages.expunge(
            uids.key_from_wire(request.mailbox),
            uids.asked_runs(request.uids) if request.HasField("uids") else None,
            request.even_undeleted,
            convert.lock_from_wire(request.maildrop) if request.HasField("maildrop") else None,
            uids.optional_id(request.request_id),
        )
        return convert.expunged_to_wire(expunged)
