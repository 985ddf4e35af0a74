"""Mailboxes over the network. The rule: see the package."""

from typing import cast
from uuid import UUID

from restante.v1 import mailboxes_pb2 as pb

from services.mail.store.mailboxes import Delta, Listing, Mailbox, MailboxKey, MailboxStatus, Opened
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import mailboxes as convert
from services.plumbing.rpc.convert.uids import id_to_wire, key_from_wire, key_to_wire, name_to_wire
from services.plumbing.turns import beside


class RemoteMailboxes:
    """The port's Mailboxes."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def list(self, account_id: int, prefix: str = "", with_statuses: bool = False) -> Listing:
        request = pb.ListMailboxesRequest(
            account_id=account_id, prefix=name_to_wire(prefix), with_statuses=with_statuses
        )
        asked = await self._calls.ask(request, pb.ListMailboxesResponse, True, self._calls.patience.read)
        return convert.listing_from_wire(cast("list[pb.ListMailboxesResponse]", asked.parts))

    async def create(
        self, account_id: int, name: str, special_use: str = "", request_id: UUID | None = None
    ) -> Mailbox:
        request = pb.CreateMailboxRequest(
            account_id=account_id,
            name=name_to_wire(name),
            special_use=name_to_wire(special_use),
            request_id=id_to_wire(request_id),
        )
        created = await self._calls.write(request, pb.CreateMailboxResponse, request_id is not None)
        return convert.mailbox_from_wire(created.mailbox)

    async def delete(self, account_id: int, name: str) -> MailboxKey:
        request = pb.DeleteMailboxRequest(account_id=account_id, name=name_to_wire(name))
        deleted = await self._calls.write(request, pb.DeleteMailboxResponse, is_repeatable=False)
        return key_from_wire(deleted.mailbox)

    async def rename(self, account_id: int, name: str, new_name: str) -> None:
        request = pb.RenameMailboxRequest(
            account_id=account_id, name=name_to_wire(name), new_name=name_to_wire(new_name)
        )
        await self._calls.write(request, pb.RenameMailboxResponse, is_repeatable=False)

    async def subscribe(self, account_id: int, name: str, is_subscribed: bool) -> None:
        request = pb.SubscribeMailboxRequest(
            account_id=account_id, name=name_to_wire(name), is_subscribed=is_subscribed
        )
        await self._calls.write(request, pb.SubscribeMailboxResponse, is_repeatable=True)

    async def status(self, account_id: int, name: str) -> tuple[Mailbox, MailboxStatus]:
        request = pb.GetMailboxStatusRequest(account_id=account_id, name=name_to_wire(name))
        found = await self._calls.read(request, pb.GetMailboxStatusResponse)
        return convert.mailbox_from_wire(found.mailbox), convert.status_from_wire(found.status)

    async def open(self, account_id: int, name: str, claims_recent: bool) -> Opened:
        # Sent again, it may claim nothing: what the lost answer had claimed is \Recent to nobody.
        request = pb.OpenMailboxRequest(
            account_id=account_id, name=name_to_wire(name), claims_recent=claims_recent
        )
        return convert.opened_from_wire(await self._calls.read(request, pb.OpenMailboxResponse))

    async def claim_recent(self, mailbox: MailboxKey, uid_next: int) -> int:
        request = pb.ClaimRecentRequest(mailbox=key_to_wire(mailbox), uid_next=uid_next)
        return (await self._calls.read(request, pb.ClaimRecentResponse)).first_recent

    async def highest_modseq(self, mailbox: MailboxKey) -> int:
        request = pb.GetHighestModseqRequest(mailbox=key_to_wire(mailbox))
        return (await self._calls.read(request, pb.GetHighestModseqResponse)).highest_modseq

    async def sync(self, mailbox: MailboxKey, since: int, uid_next: int) -> Delta:
        request = pb.SyncRequest(mailbox=key_to_wire(mailbox), since_modseq=since, uid_next=uid_next)
        asked = await self._calls.ask(request, pb.SyncResponse, True, self._calls.patience.read)
        parts = cast("list[pb.SyncResponse]", asked.parts)
        size = sum(len(part.uids) + len(part.expunged.bounds) for part in parts)
        return await beside(size, convert.delta_from_wire, parts)
