"""Sessions over the network. The rule: see the package."""

from collections.abc import Sequence
from uuid import UUID

from restante.v1 import sessions_pb2 as pb

from services.mail.store.sessions import MaildropLock, Process, Session
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import sessions as convert
from services.plumbing.rpc.convert.messages import lock_from_wire, lock_to_wire


class RemoteSessions:
    """The port's Sessions."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def beat(
        self, process: Process, opened: Sequence[Session], closed: Sequence[UUID]
    ) -> Sequence[UUID]:
        request = pb.BeatRequest(
            process=convert.process_to_wire(process),
            opened=map(convert.session_to_wire, opened),
            closed=[session_id.bytes for session_id in closed],
        )
        answer = await self._calls.read(request, pb.BeatResponse)
        return convert.uuids_from_wire(list(answer.ending))

    async def list(self, account_id: int | None = None) -> Sequence[Session]:
        sessions: list[Session] = []
        request = pb.ListSessionsRequest(account_id=account_id)
        while True:
            page = await self._calls.read(request, pb.ListSessionsResponse)
            sessions.extend(map(convert.session_from_wire, page.sessions))
            if not page.next_page_token:
                return tuple(sessions)
            request.page_token = page.next_page_token

    async def end(self, session_id: UUID) -> bool:
        request = pb.EndSessionRequest(session_id=session_id.bytes)
        return (await self._calls.write(request, pb.EndSessionResponse, is_repeatable=True)).is_asked

    async def lock_maildrop(self, account_id: int) -> MaildropLock:
        # Never sent again: a lock whose answer was lost would be in its own way until its lease ends.
        request = pb.LockMaildropRequest(account_id=account_id)
        locked = await self._calls.write(request, pb.LockMaildropResponse, is_repeatable=False)
        return lock_from_wire(locked.lock)

    async def renew_maildrop(self, lock: MaildropLock) -> None:
        request = pb.RenewMaildropRequest(lock=lock_to_wire(lock))
        await self._calls.write(request, pb.RenewMaildropResponse, is_repeatable=True)

    async def release_maildrop(self, lock: MaildropLock) -> None:
        request = pb.ReleaseMaildropRequest(lock=lock_to_wire(lock))
        await self._calls.write(request, pb.ReleaseMaildropResponse, is_repeatable=True)
