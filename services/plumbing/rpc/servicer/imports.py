"""ImportsService. The rule: see the package."""

from collections.abc import AsyncIterator

from restante.v1 import imports_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.imports import Imports, Incoming
from services.mail.store.messages import INLINE_OCTETS
from services.plumbing.rpc.convert import imports as convert
from services.plumbing.rpc.convert import uids


class ImportsServicer:
    """Answers ImportsService from a store."""

    def __init__(self, imports: Imports) -> None:
        self._imports = imports

    async def renumber_mailbox(self, request: pb.RenumberMailboxRequest) -> pb.RenumberMailboxResponse:
        await self._imports.renumber(uids.key_from_wire(request.mailbox), request.uid_validity)
        return pb.RenumberMailboxResponse()

    async def skip_uids(self, request: pb.SkipUidsRequest) -> pb.SkipUidsResponse:
        await self._imports.skip_uids(uids.key_from_wire(request.mailbox), request.uid_next)
        return pb.SkipUidsResponse()

    async def find_taken(self, request: pb.FindTakenRequest) -> pb.FindTakenResponse:
        keys = [uids.needed_id(key) for key in request.keys]
        found = await self._imports.find_taken(uids.key_from_wire(request.mailbox), keys)
        return pb.FindTakenResponse(are_taken=found)

    async def import_messages(
        self, parts: AsyncIterator[pb.ImportMessagesRequest]
    ) -> pb.ImportMessagesResponse:
        first = await anext(aiter(parts), None)
        if first is None:
            raise InvalidArgument("the first part names the mailbox")
        letters = _Letters(first, parts)
        return convert.outcomes_to_wire(
            await self._imports.add(uids.key_from_wire(first.mailbox), letters.read())
        )

    async def list_unique_ids(self, request: pb.ListUniqueIdsRequest) -> pb.ListUniqueIdsResponse:
        found = await self._imports.unique_ids(uids.key_from_wire(request.mailbox), request.after_uid)
        return pb.ListUniqueIdsResponse(
            unique_ids=[pb.UniqueId(uid=each.uid, unique_id=each.unique_id) for each in found]
        )


class _Letters:
    """The letters of a stream; what a store leaves of a body that it refused is passed over."""

    def __init__(
        self, first: pb.ImportMessagesRequest, parts: AsyncIterator[pb.ImportMessagesRequest]
    ) -> None:
        self._part: pb.ImportMessagesRequest | None = first
        self._parts = parts

    async def read(self) -> AsyncIterator[Incoming]:
        while self._part is not None:
            letters = self._part.letters
            if self._part.chunk:
                raise InvalidArgument("a chunk belongs to a message that is longer than its octets")
            for number, letter in enumerate(letters, 1):
                if number == len(letters) and len(letter.octets) < letter.size:
                    body = self._body(letter)
                    yield convert.letter_from_wire(letter, body)
                    async for _ in body:
                        pass
                    break
                yield convert.letter_from_wire(letter, letter.octets)
            else:
                self._part = await anext(self._parts, None)

    async def _body(self, letter: pb.Incoming) -> AsyncIterator[bytes]:
        yield letter.octets
        while True:
            self._part = await anext(self._parts, None)
            if self._part is None or not self._part.chunk:
                return
            if len(self._part.chunk) > INLINE_OCTETS or self._part.letters:
                raise InvalidArgument("chunks are of at most 256 KB, and come alone")
            yield self._part.chunk
