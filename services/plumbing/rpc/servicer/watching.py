"""The stream of changes of one process: any number of followers, each a `Watch` of the store.

The rule: what a follower's `add` answers stands in the stream before any change that came after it, and a follower's
changes are taken from the store no faster than the stream takes them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import grpc
from restante.v1 import changes_pb2 as pb

from services.mail.errors import InvalidArgument, LimitExceeded, MailError
from services.mail.store.changes import Change, Changes, Fallen, Watch
from services.plumbing.rpc.convert.changes import change_to_wire
from services.plumbing.rpc.errors import to_refusal
from services.plumbing.rpc.servicer.drain import Drain
from services.plumbing.rpc.servicer.methods import Context, refuse

# Events that may wait for the writer before the followers are held back, and changes in one message.
MAX_WAITING: Final = 1000
MAX_TOGETHER: Final = 500


class WatchServicer:
    """Answers Watch. most_followers: of one stream."""

    def __init__(self, changes: Changes, drain: Drain, most_followers: int) -> None:
        self._changes = changes
        self._drain = drain
        self._most_followers = most_followers

    async def watch(self, _requests: AsyncIterator[pb.WatchRequest], context: Context) -> None:
        """Serves one stream to its end."""
        try:
            with self._drain.work():
                await Watching(self._changes, self._drain, self._most_followers, context).run()
        except Exception as error:  # noqa: BLE001 - status_of logs it
            await refuse(context, error)


class Watching:
    """One stream."""

    def __init__(self, changes: Changes, drain: Drain, most_followers: int, context: Context) -> None:
        self._changes = changes
        self._drain = drain
        self._most_followers = most_followers
        self._context = context
        self._followers: dict[int, tuple[Watch, asyncio.Task[None]]] = {}
        self._waiting: list[pb.WatchResponse] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._is_ending = False

    async def run(self) -> None:
        """Until the caller goes away, or has half-closed and was told of the drain."""
        await self._context.send_initial_metadata(())
        herald = asyncio.create_task(self._announce_drain())
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        try:
            while not writer.done():
                pumps = {task for _, task in self._followers.values()}
                running = {task for task in (reader, herald) if not task.done()}
                done, _ = await asyncio.wait({writer, *running, *pumps}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if reader.done() and herald.done():
                    self._is_ending = True
                    self._filled.set()
                ended = [number for number, (_, task) in self._followers.items() if task in done]
                for number in ended:
                    del self._followers[number]
        finally:
            for task in (herald, writer, reader):
                task.cancel()
            for number in list(self._followers):
                await self._close(number)

    async def _read(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            match request.WhichOneof("action"):
                case "add":
                    await self._add(request.follower, request.add)
                case "remove":
                    if request.follower in self._followers:
                        await self._followers[request.follower][0].remove(request.remove.account_id)
                case "close":
                    await self._close(request.follower)
                case _:
                    raise InvalidArgument("a request has an action")

    async def _add(self, number: int, add: pb.WatchRequest.Add) -> None:
        if number not in self._followers:
            if len(self._followers) >= self._most_followers:
                raise LimitExceeded("too many followers on one stream")
            watch = self._changes.watch()
            self._followers[number] = watch, asyncio.create_task(self._pump(number, watch))
        watch = self._followers[number][0]
        try:
            since = await watch.add(
                add.account_id, add.since_modseq if add.HasField("since_modseq") else None
            )
        except MailError as error:
            refused = pb.WatchResponse.Refused(account_id=add.account_id, refusal=to_refusal(error))
            self._put(pb.WatchResponse(follower=number, refused=refused))
        else:
            added = pb.WatchResponse.Added(account_id=add.account_id, since_modseq=since)
            self._put(pb.WatchResponse(follower=number, added=added))

    async def _close(self, number: int) -> None:
        if number in self._followers:
            watch, task = self._followers.pop(number)
            task.cancel()
            await watch.close()

    async def _pump(self, number: int, watch: Watch) -> None:
        # What was taken from the store is queued before anything else can be: see the module's rule.
        async for event in watch:
            self._put(event_to_wire(number, event))
            while len(self._waiting) >= MAX_WAITING:
                self._emptied.clear()
                await self._emptied.wait()

    async def _announce_drain(self) -> None:
        await self._drain.begun()
        self._put(pb.WatchResponse(draining=pb.WatchResponse.Draining()))

    def _put(self, event: pb.WatchResponse) -> None:
        self._waiting.append(event)
        self._filled.set()

    async def _write(self) -> None:
        while self._waiting or not self._is_ending:
            await self._filled.wait()
            events, self._waiting = self._waiting, []
            self._filled.clear()
            self._emptied.set()
            for event in together(events):
                await self._context.write(event)


def event_to_wire(number: int, event: Change | Fallen) -> pb.WatchResponse:
    """What a follower is told."""
    if isinstance(event, Fallen):
        behind = pb.WatchResponse.BehindFloor(account_id=event.account_id, modseq=event.modseq)
        return pb.WatchResponse(follower=number, behind_floor=behind)
    return pb.WatchResponse(
        follower=number, changes=pb.WatchResponse.Changes(changes=[change_to_wire(event)])
    )


def together(events: list[pb.WatchResponse]) -> list[pb.WatchResponse]:
    """The same events; changes of one follower that follow each other share a message."""
    joined: list[pb.WatchResponse] = []
    for event in events:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.HasField("changes")
            and event.HasField("changes")
            and last.follower == event.follower
            and len(last.changes.changes) < MAX_TOGETHER
        ):
            last.changes.MergeFrom(event.changes)
        else:
            joined.append(event)
    return joined
