"""ChangesService: the log by pages. `watching` follows it. The rule: see the package."""

from restante.v1 import changes_pb2 as pb

from services.mail.store.changes import Changes
from services.plumbing.rpc.convert import changes as convert

MAX_PAGE = 1000


class ChangesServicer:
    """Answers ChangesService from a store."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def list_changes(self, request: pb.ListChangesRequest) -> pb.ListChangesResponse:
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        changes = await self._changes.list(request.account_id, request.since_modseq, size)
        return pb.ListChangesResponse(changes=map(convert.change_to_wire, changes))
