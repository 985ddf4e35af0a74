"""Traces over the network. The rule: see the package."""

from collections.abc import Sequence
from uuid import UUID

from restante.v1 import traces_pb2 as pb

from services.mail.store.traces import Trace, address_of, message_id_of
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import traces as convert


class RemoteTraces:
    """The port's Traces."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def record(self, traces: Sequence[Trace]) -> None:
        # Never sent again: a refusal told twice is worse than one that nobody finds.
        request = pb.RecordTracesRequest(traces=map(convert.trace_to_wire, traces))
        await self._calls.write(request, pb.RecordTracesResponse, is_repeatable=False)

    async def find(
        self,
        *,
        message_id: str = "",
        sender: str = "",
        recipient: str = "",
        letter_id: UUID | None = None,
        account_id: int = 0,
        most: int = 100,
    ) -> Sequence[Trace]:
        request = pb.FindTracesRequest(
            message_id=message_id_of(message_id),
            sender=address_of(sender),
            recipient=address_of(recipient),
            page_size=most,
            letter_id=letter_id.bytes if letter_id else b"",
            account_id=account_id,
        )
        found = await self._calls.read(request, pb.FindTracesResponse)
        return tuple(map(convert.trace_from_wire, found.traces))
