"""DeliveriesService. The rule: see the package."""

from collections.abc import AsyncIterator

from restante.v1 import deliveries_pb2 as pb
from restante.v1 import exchange_pb2

from services.mail.store.deliveries import Deliveries
from services.plumbing.rpc.convert import deliveries as convert
from services.plumbing.rpc.convert import uids
from services.plumbing.rpc.servicer.uploads import read_chunks, read_header


class DeliveriesServicer:
    """Answers DeliveriesService from a store."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def deliver(self, parts: AsyncIterator[pb.DeliverRequest]) -> pb.DeliverResponse:
        header: pb.DeliverRequest.Header = await read_header(parts)
        letter = convert.letter_from_wire(header, read_chunks(parts, needs_end=not header.HasField("size")))
        return convert.delivered_to_wire(await self._deliveries.deliver(letter))

    async def deliver_inline(self, request: exchange_pb2.InlineDeliver) -> pb.DeliverResponse:
        letter = convert.letter_from_wire(request.header, request.body)
        return convert.delivered_to_wire(await self._deliveries.deliver(letter))

    async def settle(self, request: pb.SettleRequest) -> pb.SettleResponse:
        request_id, mailboxes = uids.needed_id(request.request_id), request.mailboxes
        found = await self._deliveries.settle(request_id, [uids.key_from_wire(each) for each in mailboxes])
        return convert.settled_to_wire(found)
