"""TracesService. The rule: see the package."""

from restante.v1 import traces_pb2 as pb

from services.mail.store.traces import Traces
from services.plumbing.rpc.convert import traces as convert
from services.plumbing.rpc.convert import uids

MAX_PAGE = 1000


class TracesServicer:
    """Answers TracesService from a store."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    async def record_traces(self, request: pb.RecordTracesRequest) -> pb.RecordTracesResponse:
        await self._traces.record(tuple(map(convert.trace_from_wire, request.traces)))
        return pb.RecordTracesResponse()

    async def find_traces(self, request: pb.FindTracesRequest) -> pb.FindTracesResponse:
        found = await self._traces.find(
            message_id=request.message_id,
            sender=request.sender,
            recipient=request.recipient,
            letter_id=uids.needed_id(request.letter_id) if request.letter_id else None,
            account_id=request.account_id,
            most=min(request.page_size or MAX_PAGE, MAX_PAGE),
        )
        return pb.FindTracesResponse(traces=map(convert.trace_to_wire, found))
