"""SessionsService. The rule: see the package."""

from restante.v1 import sessions_pb2 as pb

from services.mail.store.sessions import Sessions
from services.plumbing.rpc.convert import messages, uids
from services.plumbing.rpc.convert import sessions as convert

MAX_PAGE = 1000


class SessionsServicer:
    """Answers SessionsService from a store."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def beat(self, request: pb.BeatRequest) -> pb.BeatResponse:
        ending = await self._sessions.beat(
            convert.process_from_wire(request.process),
            tuple(map(convert.session_from_wire, request.opened)),
            convert.uuids_from_wire(list(request.closed)),
        )
        return pb.BeatResponse(ending=[session_id.bytes for session_id in ending])

    async def list_sessions(self, request: pb.ListSessionsRequest) -> pb.ListSessionsResponse:
        account_id = request.account_id if request.HasField("account_id") else None
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        found = sorted(await self._sessions.list(account_id), key=lambda session: session.session_id.hex)
        found = [session for session in found if session.session_id.hex > request.page_token]
        page = found[:size]
        return pb.ListSessionsResponse(
            sessions=map(convert.session_to_wire, page),
            next_page_token=page[-1].session_id.hex if len(found) > size else "",
        )

    async def end_session(self, request: pb.EndSessionRequest) -> pb.EndSessionResponse:
        return pb.EndSessionResponse(is_asked=await self._sessions.end(uids.needed_id(request.session_id)))

    async def lock_maildrop(self, request: pb.LockMaildropRequest) -> pb.LockMaildropResponse:
        lock = await self._sessions.lock_maildrop(request.account_id)
        return pb.LockMaildropResponse(lock=messages.lock_to_wire(lock))

    async def renew_maildrop(self, request: pb.RenewMaildropRequest) -> pb.RenewMaildropResponse:
        await self._sessions.renew_maildrop(messages.lock_from_wire(request.lock))
        return pb.RenewMaildropResponse()

    async def release_maildrop(self, request: pb.ReleaseMaildropRequest) -> pb.ReleaseMaildropResponse:
        await self._sessions.release_maildrop(messages.lock_from_wire(request.lock))
        return pb.ReleaseMaildropResponse()
