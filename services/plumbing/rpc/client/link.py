"""One channel to one copy of storage, and the exchange on it.

The rule: a link that has turned (the copy drains, or is lost) takes no new call; what it owes is still waited for, and
when it is lost every call that it owes fails with LinkLost.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.protobuf.message import Message
from restante.v1 import exchange_pb2 as pb

from services.mail.errors import StoreUnavailable
from services.plumbing.rpc.deadlines import Deadlines
from services.plumbing.rpc.errors import READY, LinkLost, NotLetIn, NotTaken, StorageFailed, from_refusal
from services.plumbing.rpc.frames import number_field, octets_field
from services.plumbing.rpc.outbox import Outbox

EXCHANGE: Final = "/restante.v1.ExchangeService/Exchange"
CLOSE_SECONDS: Final = 5.0
HANG_SECONDS: Final = 5.0

_CALLS: Final = pb.ExchangeRequest.DESCRIPTOR.fields_by_name["calls"].number


Metadata = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Asked:
    """An answer: its parts, and whether there is more to be had on a stream of its own."""

    parts: list[Message] = field(default_factory=list)
    is_cut: bool = False


@dataclass(slots=True)
class Owed:
    """A call that was not answered yet. asked_at: loop time."""

    future: asyncio.Future[Asked]
    asked_at: float
    asked: Asked = field(default_factory=Asked)


class Link:
    """show: what shows who calls, as it is now; on_free: told whenever it owes one call less.

    calls: that wait for an answer. in_flight: those, and streams of their own, which last as long as somebody reads or
    writes slowly.
    """

    def __init__(
        self, channel: grpc.aio.Channel, show: Callable[[], Metadata], on_free: Callable[[], None]
    ) -> None:
        self.channel = channel
        self.calls = 0
        self.in_flight = 0
        self.turned = asyncio.Event()
        self._show = show
        self._on_free = on_free
        self._idle = asyncio.Event()
        self._idle.set()
        self._outbox = Outbox()
        self._owed: dict[int, Owed] = {}
        self._last_id = 0
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._expire)
        self._heard_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def metadata(self) -> Metadata:
        """What a call shows."""
        return self._show()

    async def open(self, seconds: float) -> None:
        """Connects. Raises NotLetIn, TimeoutError."""
        # Octets go out as they are: the outbox holds messages that are encoded already.
        exchange: Any = self.channel.stream_stream(EXCHANGE, None, pb.ExchangeResponse.FromString)
        call = exchange(metadata=self.metadata)
        try:
            async with asyncio.timeout(seconds):
                if READY not in tuple(await call.initial_metadata()):
                    raise NotLetIn(await call.code())
        except BaseException:
            call.cancel()
            raise
        self._tasks = [asyncio.create_task(self._read(call)), asyncio.create_task(self._write(call))]

    async def ask(self, field_number: int, payload: bytes, seconds: float) -> Asked:
        """Makes one call.

        Raises NotTaken, LinkLost, StorageFailed, StoreUnavailable after `seconds`, and what the rpc refuses with.
        """
        if self.turned.is_set():
            raise NotTaken
        self._last_id = call_id = self._last_id + 1
        owed = self._owed[call_id] = Owed(self._loop.create_future(), self._loop.time())
        self._deadlines.add(call_id, owed.asked_at + seconds)
        self._enter(is_call=True)
        self._outbox.put(
            octets_field(
                _CALLS,
                number_field(1, call_id),
                number_field(2, max(1, int(seconds * 1000))),
                octets_field(field_number, payload),
            )
        )
        try:
            return await owed.future
        finally:
            self._deadlines.remove(call_id)
            del self._owed[call_id]
            self._leave(is_call=True)

    def _expire(self, call_id: int) -> None:
        owed = self._owed[call_id]
        if owed.future.done():
            return
        if self._loop.time() - max(self._heard_at, owed.asked_at) > HANG_SECONDS:
            # Nothing at all came since: the copy hangs. Whoever keeps the link tries a new one.
            self.turned.set()
        owed.future.set_exception(StoreUnavailable("storage did not answer in time"))

    @contextmanager
    def held(self, is_call: bool = False) -> Iterator[None]:
        """Something that keeps the link open: a call, or a stream of its own on the same channel."""
        self._enter(is_call)
        try:
            yield
        finally:
            self._leave(is_call)

    def _enter(self, is_call: bool) -> None:
        self.calls += is_call
        self.in_flight += 1
        self._idle.clear()

    def _leave(self, is_call: bool) -> None:
        self.calls -= is_call
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()
        self._on_free()

    async def _write(self, call: Any) -> None:
        try:
            while (message := await self._outbox.next()) is not None:
                await call.write(message)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            call.cancel()

    async def _read(self, call: Any) -> None:
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                self._heard_at = asyncio.get_running_loop().time()
                if response.is_draining:
                    self.turned.set()
                for answer in response.answers:
                    self._settle(answer)
        except grpc.aio.AioRpcError:
            pass
        finally:
            self.turned.set()
            for owed in self._owed.values():
                if not owed.future.done():
                    owed.future.set_exception(LinkLost())

    def _settle(self, answer: pb.Answer) -> None:
        owed = self._owed.get(answer.id)
        if owed is None or owed.future.done():
            return
        match answer.WhichOneof("outcome"):
            case "refusal":
                owed.future.set_exception(from_refusal(answer.refusal))
            case "not_taken":
                owed.future.set_exception(NotTaken())
            case "fault" | None:
                owed.future.set_exception(StorageFailed(answer.fault.detail))
            case "end":
                owed.asked.is_cut = answer.end.is_cut
                owed.future.set_result(owed.asked)
            case name:
                owed.asked.parts.append(getattr(answer, name))
                if not answer.has_more:
                    owed.future.set_result(owed.asked)

    async def retire(self) -> None:
        """Takes no new calls, waits for what is in flight, half-closes, closes."""
        self.turned.set()
        try:
            await self._idle.wait()
            self._outbox.close()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        finally:
            await self.close()

    async def close(self) -> None:
        """Closes at once."""
        self.turned.set()
        self._deadlines.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.channel.close()
