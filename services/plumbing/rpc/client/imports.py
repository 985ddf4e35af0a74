"""Imports over the network. The rule: see the package; an `add` is sent once, and whoever imports sends it again."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing
from typing import Final
from uuid import UUID

from restante.v1 import imports_pb2 as pb

from services.mail.errors import MailError, StoreUnavailable
from services.mail.store.imports import Incoming, Taken, UniqueId
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.uids import LAST_UID
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.client.uploads import CHUNK, Unsettled, even_chunks, send, start_of
from services.plumbing.rpc.convert import imports as convert
from services.plumbing.rpc.convert.uids import key_to_wire
from services.plumbing.rpc.errors import LinkLost, NotTaken
from services.plumbing.rpc.frames import octets_field

IMPORT: Final = "/restante.v1.ImportsService/ImportMessages"
_MAILBOX: Final = pb.ImportMessagesRequest.MAILBOX_FIELD_NUMBER
_LETTERS: Final = pb.ImportMessagesRequest.LETTERS_FIELD_NUMBER
_CHUNK: Final = pb.ImportMessagesRequest.CHUNK_FIELD_NUMBER
# Octets of letters that travel in one part: a part costs the same whatever is in it.
_PART: Final = 512 * 1024


class RemoteImports:
    """The port's Imports."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def renumber(self, mailbox: MailboxKey, uid_validity: int) -> None:
        request = pb.RenumberMailboxRequest(
            mailbox=key_to_wire(mailbox), uid_validity=_in_32_bits(uid_validity)
        )
        await self._calls.write(request, pb.RenumberMailboxResponse, is_repeatable=True)

    async def skip_uids(self, mailbox: MailboxKey, uid_next: int) -> None:
        request = pb.SkipUidsRequest(mailbox=key_to_wire(mailbox), uid_next=uid_next)
        await self._calls.write(request, pb.SkipUidsResponse, is_repeatable=True)

    async def find_taken(self, mailbox: MailboxKey, keys: Sequence[UUID]) -> Sequence[bool]:
        request = pb.FindTakenRequest(mailbox=key_to_wire(mailbox), keys=[key.bytes for key in keys])
        return list((await self._calls.read(request, pb.FindTakenResponse)).are_taken)

    async def add(self, mailbox: MailboxKey, letters: AsyncIterable[Incoming]) -> Sequence[Taken | MailError]:
        link = await self._calls.copies.pick(self._calls.patience.find)
        try:
            response = await send(
                link, IMPORT, _parts(mailbox, letters), pb.ImportMessagesResponse, self._calls.patience.write
            )
        except (NotTaken, LinkLost, Unsettled):
            raise StoreUnavailable("storage went away before it answered") from None
        return convert.outcomes_from_wire(response)

    async def unique_ids(self, mailbox: MailboxKey, after_uid: int = 0) -> Sequence[UniqueId]:
        request = pb.ListUniqueIdsRequest(mailbox=key_to_wire(mailbox), after_uid=after_uid)
        return convert.unique_ids_from_wire(await self._calls.read(request, pb.ListUniqueIdsResponse))


def _in_32_bits(number: int) -> int:
    """0, which is refused like it, for what has no room on the wire."""
    return number if 0 <= number <= LAST_UID else 0


async def _parts(mailbox: MailboxKey, letters: AsyncIterable[Incoming]) -> AsyncGenerator[bytes, None]:
    """Small letters together, a large one in chunks."""
    waiting = [octets_field(_MAILBOX, key_to_wire(mailbox).SerializeToString())]
    size = 0
    async for letter in letters:
        start, rest = await start_of(letter.body)
        is_large = rest is not None
        encoded = convert.letter_to_wire(letter, b"" if is_large else start).SerializeToString()
        waiting.append(octets_field(_LETTERS, encoded))
        size += len(encoded)
        # A body that is shorter than announced has no chunks: whatever comes next shows it.
        if is_large or size >= _PART or len(start) < letter.size:
            yield b"".join(waiting)
            waiting, size = [], 0
        if rest is not None:
            async with aclosing(even_chunks(start, rest)) as chunks:
                async for chunk in chunks:
                    assert len(chunk) <= CHUNK
                    yield octets_field(_CHUNK, chunk)
    if waiting:
        yield b"".join(waiting)
