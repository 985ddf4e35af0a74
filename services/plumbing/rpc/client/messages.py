"""Messages over the network. The rule: see the package."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from typing import Final, cast
from uuid import UUID

from restante.v1 import exchange_pb2
from restante.v1 import messages_pb2 as pb

from services.mail.errors import MailError
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended, Body, Copied, Expunged, FlagChange, Items, Page, Stored
from services.mail.store.sessions import MaildropLock
from services.mail.store.uids import LAST_UID, Runs, between, count
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.client.deliveries import settle
from services.plumbing.rpc.client.uploads import Unsettled, start_of, upload
from services.plumbing.rpc.convert import messages as convert
from services.plumbing.rpc.convert.uids import id_to_wire, key_to_wire, name_to_wire, runs_to_wire
from services.plumbing.turns import beside

APPEND: Final = "/restante.v1.MessagesService/Append"

# Octets of an answer that rides the exchange, and what a row is taken to have of each.
SMALL_OCTETS: Final = 256 * 1024
_TYPICAL: Final = {
    Items.ENVELOPE: 600,
    Items.STRUCTURE: 300,
    Items.PARTS: 100,
    Items.HEADER: 2000,
    Items.BODY: 4000,
}


def looks_small(uids: Runs, items: Items) -> bool:
    """Whether the answer probably fits on the exchange."""
    row = 16 + sum(octets for item, octets in _TYPICAL.items() if item in items)
    return count(uids) * row <= SMALL_OCTETS


class RemoteMessages:
    """The port's Messages."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def append(
        self,
        mailbox: MailboxKey,
        body: Body,
        size: int,
        flags: Collection[str] = (),
        internal_at: int | None = None,
        request_id: UUID | None = None,
    ) -> Appended:
        header = pb.AppendRequest.Header(
            mailbox=key_to_wire(mailbox),
            size=size,
            flags=flags,
            internal_at=internal_at,
            request_id=id_to_wire(request_id),
        )
        start, rest = await start_of(body)
        if rest is None:
            inline = exchange_pb2.InlineAppend(header=header, body=start)
            appended = await self._calls.write(inline, pb.AppendResponse, request_id is not None)
        else:
            try:
                appended = await upload(self._calls, APPEND, header, body, start, rest, pb.AppendResponse)
            except Unsettled:
                assert request_id is not None
                settled = (await settle(self._calls, request_id, [mailbox]))[0]
                if isinstance(settled, MailError):
                    raise settled from None
                return settled
        return convert.appended_from_wire(appended)

    async def fetch(self, mailbox: MailboxKey, uids: Runs, items: Items) -> AsyncGenerator[Page, None]:
        last_uid = 0

        def rest() -> pb.FetchRequest | None:
            left = between(uids, last_uid + 1, LAST_UID)
            if not left:
                return None
            return pb.FetchRequest(
                mailbox=key_to_wire(mailbox), uids=runs_to_wire(left), items=convert.items_to_wire(items)
            )

        request = rest()
        if request is not None and looks_small(uids, items):
            asked = await self._calls.ask(request, pb.FetchResponse, True, self._calls.patience.read)
            for part in cast("list[pb.FetchResponse]", asked.parts):
                page = convert.page_from_wire(part)
                last_uid = page.uids[-1]
                yield page
            if not asked.is_cut:
                return
        async with aclosing(self._calls.stream(rest, pb.FetchResponse)) as parts:
            async for part in parts:
                page = convert.page_from_wire(part)
                last_uid = page.uids[-1]
                yield page

    async def read(self, mailbox: MailboxKey, uid: int, start: int, end: int) -> AsyncGenerator[bytes, None]:
        place = start

        def rest() -> pb.ReadRequest | None:
            # Asked even for nothing: the message may be gone.
            if place >= end and place > start:
                return None
            return pb.ReadRequest(mailbox=key_to_wire(mailbox), uid=uid, start=place, end=max(place, end))

        request = rest()
        if request is not None and end - start <= SMALL_OCTETS:
            asked = await self._calls.ask(request, pb.ReadResponse, True, self._calls.patience.read)
            for part in cast("list[pb.ReadResponse]", asked.parts):
                place += len(part.chunk)
                yield part.chunk
            if not asked.is_cut:
                return
        async with aclosing(self._calls.stream(rest, pb.ReadResponse)) as parts:
            async for part in parts:
                place += len(part.chunk)
                yield part.chunk

    async def store(
        self,
        mailbox: MailboxKey,
        uids: Runs,
        change: FlagChange,
        flags: Collection[str],
        unchanged_since: int | None = None,
        request_id: UUID | None = None,
    ) -> Stored:
        request = pb.StoreRequest(
            mailbox=key_to_wire(mailbox),
            uids=runs_to_wire(uids),
            change=convert.change_to_wire(change),
            flags=flags,
            unchanged_since=unchanged_since,
            request_id=id_to_wire(request_id),
        )
        # Without an id, it could take back what another did between the two.
        is_repeatable = request_id is not None
        asked = await self._calls.ask(request, pb.StoreResponse, is_repeatable, self._calls.patience.write)
        parts = cast("list[pb.StoreResponse]", asked.parts)
        return await beside(sum(len(part.uids) for part in parts), convert.stored_from_wire, parts)

    async def copy(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        request = pb.CopyRequest(
            mailbox=key_to_wire(mailbox),
            uids=runs_to_wire(uids),
            target=name_to_wire(target),
            request_id=id_to_wire(request_id),
        )
        return convert.copied_from_wire(
            await self._calls.write(request, pb.CopyResponse, request_id is not None)
        )

    async def move(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        request = pb.MoveRequest(
            mailbox=key_to_wire(mailbox),
            uids=runs_to_wire(uids),
            target=name_to_wire(target),
            request_id=id_to_wire(request_id),
        )
        return convert.copied_from_wire(
            await self._calls.write(request, pb.MoveResponse, request_id is not None)
        )

    async def expunge(
        self,
        mailbox: MailboxKey,
        uids: Runs | None = None,
        even_undeleted: bool = False,
        maildrop: MaildropLock | None = None,
        request_id: UUID | None = None,
    ) -> Expunged:
        request = pb.ExpungeRequest(
            mailbox=key_to_wire(mailbox),
            uids=runs_to_wire(uids) if uids is not None else None,
            even_undeleted=even_undeleted,
            maildrop=convert.lock_to_wire(maildrop) if maildrop is not None else None,
            request_id=id_to_wire(request_id),
        )
        # A uid is never used again, so these messages go once however often it is sent.
        is_repeatable = request_id is not None or (uids is not None and even_undeleted)
        return convert.expunged_from_wire(await self._calls.write(request, pb.ExpungeResponse, is_repeatable))
