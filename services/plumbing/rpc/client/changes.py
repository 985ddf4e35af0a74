"""Changes over the network: all followers of a process share one Watch stream.

The rule: the stream is only a wire; what is followed, and from where, is kept by the followers, so that any copy can
serve it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc
from restante.v1 import changes_pb2 as pb

from services.mail.errors import StoreUnavailable
from services.mail.store.changes import Change
from services.plumbing import logs
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.client.follower import RemoteWatch
from services.plumbing.rpc.client.link import Link
from services.plumbing.rpc.convert.changes import change_from_wire
from services.plumbing.rpc.outbox import Outbox

log = logs.get(__name__)

WATCH: Final = "/restante.v1.ChangesService/Watch"
PAUSE: Final = 0.05


class RemoteChanges:
    """The port's Changes."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._followers: dict[int, RemoteWatch] = {}
        self._last_number = 0
        self._outbox: Outbox | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> RemoteWatch:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._last_number += 1
        follower = RemoteWatch(self, self._last_number, self._calls.patience.read)
        self._followers[self._last_number] = follower
        return follower

    async def list(self, account_id: int, since: int, limit: int) -> Sequence[Change]:
        request = pb.ListChangesRequest(account_id=account_id, since_modseq=since, page_size=limit)
        page = await self._calls.read(request, pb.ListChangesResponse)
        return [change_from_wire(change) for change in page.changes]

    async def stop(self) -> None:
        """Ends the stream, and every follower's iteration."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for follower in list(self._followers.values()):
            await follower.close()

    def send(self, request: pb.WatchRequest) -> None:
        if self._outbox is not None:
            self._outbox.put(request.SerializeToString())

    def forget(self, number: int) -> None:
        self._followers.pop(number, None)

    async def _run(self) -> None:
        while True:
            try:
                link = await self._calls.copies.pick(self._calls.patience.find)
                with link.held():
                    await self._follow(link)
            except (StoreUnavailable, grpc.aio.AioRpcError) as error:
                log.info("watch interrupted", reason=str(error)[:200])
            await asyncio.sleep(PAUSE)

    async def _follow(self, link: Link) -> None:
        call: Any = link.channel.stream_stream(WATCH, None, pb.WatchResponse.FromString)(
            metadata=link.metadata
        )
        # Each request is a message of its own.
        self._outbox = Outbox(max_batch=0)
        for follower in list(self._followers.values()):
            follower.resume(is_new_stream=True)
        reader = asyncio.create_task(self._read(call))
        writer = asyncio.create_task(self._write(call, self._outbox))
        turned = asyncio.create_task(link.turned.wait())
        tasks: tuple[asyncio.Task[Any], ...] = (reader, writer, turned)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._outbox = None
            call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, call: Any) -> None:
        while (event := await call.read()) is not grpc.aio.EOF:
            if event.HasField("draining"):
                return
            if (follower := self._followers.get(event.follower)) is not None:
                follower.take(event)

    @staticmethod
    async def _write(call: Any, outbox: Outbox) -> None:
        while (message := await outbox.next()) is not None:
            await call.write(message)
