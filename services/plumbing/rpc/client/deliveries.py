"""Deliveries over the network. The rule: a letter always has a request id, so it is sent again until it is answered."""

from typing import Final

from restante.v1 import deliveries_pb2 as pb
from restante.v1 import exchange_pb2

from services.mail.store.deliveries import Delivered, Letter
from services.plumbing.rpc.client.calls import FIELDS, Calls
from services.plumbing.rpc.client.uploads import start_of, upload
from services.plumbing.rpc.convert import deliveries as convert
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
            delivered = await upload(
                self._calls, DELIVER, header, letter.body, start, rest, pb.DeliverResponse
            )
        return convert.delivered_from_wire(delivered)
