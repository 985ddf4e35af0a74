"""Deliveries over the network. The rule: a letter always has a request id, so it is sent again until it is answered."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from restante.v1 import deliveries_pb2 as pb
from restante.v1 import exchange_pb2

from services.mail.errors import MailError
from services.mail.store.deliveries import Delivered, Letter, Mode, Placed
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended
from services.plumbing.rpc.client.calls import FIELDS, Calls
from services.plumbing.rpc.client.uploads import Unsettled, start_of, upload
from services.plumbing.rpc.convert import deliveries as convert
from services.plumbing.rpc.convert.uids import key_to_wire
from services.plumbing.rpc.frames import octets_field

DELIVER: Final = "/restante.v1.DeliveriesService/Deliver"
_FIELD: Final = FIELDS[exchange_pb2.InlineDeliver.DESCRIPTOR.full_name]
_HEADER: Final = exchange_pb2.InlineDeliver.HEADER_FIELD_NUMBER
_BODY: Final = exchange_pb2.InlineDeliver.BODY_FIELD_NUMBER


class RemoteDeliveries:
    """The port's Deliveries."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def deliver(self, letter: Letter) -> Delivered:
        header = convert.header_to_wire(letter)
        start, rest = await start_of(letter.body)
        if rest is None:
            # Written by hand: one copy of the octets instead of three.
            payload = octets_field(_HEADER, header.SerializeToString()) + octets_field(_BODY, start)
            delivered = await self._calls.write_encoded(_FIELD, payload, pb.DeliverResponse)
        else:
            try:
                delivered = await upload(
                    self._calls, DELIVER, header, letter.body, start, rest, pb.DeliverResponse
                )
            except Unsettled:
                return await self._settled(letter)
        return convert.delivered_from_wire(delivered)

    async def _settled(self, letter: Letter) -> Delivered:
        """What `deliver` would have answered. Raises as it does."""
        found = await self.settle(letter.request_id, [to.mailbox for to in letter.addressees])
        refusals = [each for each in found if isinstance(each, MailError)]
        if refusals and letter.mode is Mode.ALL:
            raise refusals[0]
        return Delivered(
            [each if isinstance(each, MailError) else Placed(each.uid_validity, each.uid) for each in found],
            is_repeated=True,
        )

    async def settle(
        self, request_id: UUID, mailboxes: Sequence[MailboxKey]
    ) -> Sequence[Appended | MailError]:
        return await settle(self._calls, request_id, mailboxes)


async def settle(
    calls: Calls, request_id: UUID, mailboxes: Sequence[MailboxKey]
) -> Sequence[Appended | MailError]:
    """What became of a write whose answer was lost; asked until a copy answers."""
    request = pb.SettleRequest(
        request_id=request_id.bytes, mailboxes=[key_to_wire(mailbox) for mailbox in mailboxes]
    )
    return convert.settled_from_wire(await calls.write(request, pb.SettleResponse, is_repeatable=True))
