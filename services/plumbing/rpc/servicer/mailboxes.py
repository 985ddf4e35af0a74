"""MailboxesService. The rule: see the package."""

from collections.abc import AsyncIterator

from restante.v1 import mailboxes_pb2 as pb

from services.mail.store.mailboxes import Mailboxes
from services.plumbing.rpc.convert import mailboxes as convert
from services.plumbing.rpc.convert import uids


class MailboxesServicer:
    """Answers MailboxesService from a store."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    async def list_mailboxes(
        self, request: pb.ListMailboxesRequest
    ) -> AsyncIterator[pb.ListMailboxesResponse]:
        listing = await self._mailboxes.list(request.account_id, request.prefix, request.with_statuses)
        for part in convert.listing_to_wire(listing):
            yield part

    async def create_mailbox(self, request: pb.CreateMailboxRequest) -> pb.CreateMailboxResponse:
        mailbox = await self._mailboxes.create(
            request.account_id, request.name, request.special_use, uids.optional_id(request.request_id)
        )
        return pb.CreateMailboxResponse(mailbox=convert.mailbox_to_wire(mailbox))

    async def delete_mailbox(self, request: pb.DeleteMailboxRequest) -> pb.DeleteMailboxResponse:
        deleted = await self._mailboxes.delete(request.account_id, request.name)
        return pb.DeleteMailboxResponse(mailbox=uids.key_to_wire(deleted))

    async def rename_mailbox(self, request: pb.RenameMailboxRequest) -> pb.RenameMailboxResponse:
        await self._mailboxes.rename(request.account_id, request.name, request.new_name)
        return pb.RenameMailboxResponse()

    async def subscribe_mailbox(self, request: pb.SubscribeMailboxRequest) -> pb.SubscribeMailboxResponse:
        await self._mailboxes.subscribe(request.account_id, request.name, request.is_subscribed)
        return pb.SubscribeMailboxResponse()

    async def get_mailbox_status(self, request: pb.GetMailboxStatusRequest) -> pb.GetMailboxStatusResponse:
        mailbox, status = await self._mailboxes.status(request.account_id, request.name)
        return pb.GetMailboxStatusResponse(
            mailbox=convert.mailbox_to_wire(mailbox), status=convert.status_to_wire(status)
        )

    async def open_mailbox(self, request: pb.OpenMailboxRequest) -> pb.OpenMailboxResponse:
        opened = await self._mailboxes.open(request.account_id, request.name, request.claims_recent)
        return convert.opened_to_wire(opened)

    async def claim_recent(self, request: pb.ClaimRecentRequest) -> pb.ClaimRecentResponse:
        key = uids.key_from_wire(request.mailbox)
        return pb.ClaimRecentResponse(first_recent=await self._mailboxes.claim_recent(key, request.uid_next))

    async def get_highest_modseq(self, request: pb.GetHighestModseqRequest) -> pb.GetHighestModseqResponse:
        modseq = await self._mailboxes.highest_modseq(uids.key_from_wire(request.mailbox))
        return pb.GetHighestModseqResponse(highest_modseq=modseq)

    async def sync(self, request: pb.SyncRequest) -> AsyncIterator[pb.SyncResponse]:
        key = uids.key_from_wire(request.mailbox)
        delta = await self._mailboxes.sync(key, request.since_modseq, request.uid_next)
        for part in convert.delta_to_wire(delta):
            yield part
