"""The stream of calls of one door.

One reader begins each call as a task of its own and never waits for it; one writer sends what is ready. The rule: the
reader waits for nothing but the stream, and what is owed on it is bounded: above the bound a call is not taken.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Final, cast

import grpc
from google.protobuf.message import Message
from restante.v1 import exchange_pb2 as pb

from services.mail.errors import BUG, InvalidArgument, MailError, StoreUnavailable
from services.plumbing import logs, metrics
from services.plumbing.rpc.deadlines import Deadlines
from services.plumbing.rpc.errors import READY, to_refusal
from services.plumbing.rpc.frames import number_field, octets_field
from services.plumbing.rpc.outbox import Outbox
from services.plumbing.rpc.servicer.drain import Drain
from services.plumbing.rpc.servicer.methods import RESUMABLE, Context, Method, encoded, refuse

log = logs.get(__name__)

# Octets of an answer to fetch or read, after which the rest is asked for on a stream of its own.
ANSWER_OCTETS: Final = 256 * 1024
DRAINING: Final = pb.ExchangeResponse(is_draining=True).SerializeToString()

_NUMBERS: Final = {field.name: field.number for field in pb.Answer.DESCRIPTOR.fields}
_ANSWERS: Final = pb.ExchangeResponse.DESCRIPTOR.fields_by_name["answers"].number


class ExchangeServicer:
    """Answers ExchangeService. most_owed: calls of one stream that may be in flight at once."""

    def __init__(self, table: Mapping[str, Method], drain: Drain, most_owed: int) -> None:
        self._table = table
        self._drain = drain
        self._most_owed = most_owed

    async def exchange(self, _requests: AsyncIterator[pb.ExchangeRequest], context: Context) -> None:
        """Serves one stream to its end."""
        try:
            with self._drain.work():
                await Exchange(self._table, self._drain, self._most_owed, context).run()
        except Exception as error:  # noqa: BLE001 - status_of logs it
            await refuse(context, error)


class Exchange:
    """One stream."""

    def __init__(self, table: Mapping[str, Method], drain: Drain, most_owed: int, context: Context) -> None:
        self._table = table
        self._drain = drain
        self._most_owed = most_owed
        self._context = context
        self._outbox = Outbox()
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._expired: set[int] = set()
        self._last = 0
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._expire)

    async def run(self) -> None:
        """Reads calls to the half-close, answers all of them, ends. Raises StoreUnavailable for a flood."""
        await self._context.send_initial_metadata((READY,))
        writer = asyncio.create_task(self._write())
        herald = asyncio.create_task(self._announce_drain())
        try:
            await self._read()
            if self._calls:
                await asyncio.wait(self._calls.values())
            self._outbox.close()
            await writer
        finally:
            if not self._calls:  # else they end at their deadlines, though nobody hears of it
                self._deadlines.close()
            herald.cancel()
            writer.cancel()

    async def _read(self) -> None:
        while (request := await self._context.read()) is not grpc.aio.EOF:
            for call in request.calls:
                owed = len(self._calls) + len(self._outbox)
                if owed >= 4 * self._most_owed:
                    raise StoreUnavailable("too many calls, and their answers are not read")
                if owed >= self._most_owed:
                    self._put(call.id, "not_taken", b"")
                    continue
                self._begin(call)

    async def _write(self) -> None:
        while (message := await self._outbox.next()) is not None:
            await self._context.write(message)

    async def _announce_drain(self) -> None:
        await self._drain.begun()
        self._outbox.put(DRAINING)

    def _put(self, call_id: int, outcome: str, payload: bytes, has_more: bool = False) -> None:
        self._outbox.put(
            octets_field(
                _ANSWERS,
                number_field(1, call_id),
                b"\x10\x01" if has_more else b"",
                octets_field(_NUMBERS[outcome], payload),
            )
        )

    def _begin(self, call: pb.Call) -> None:
        self._last += 1
        number = self._last
        self._calls[number] = self._loop.create_task(self._answer(call, number))

    def _expire(self, number: int) -> None:
        """Cancels a call, which then refuses itself."""
        self._expired.add(number)
        self._calls[number].cancel()

    async def _answer(self, call: pb.Call, number: int) -> None:
        self._drain.enter()
        self._deadlines.add(number, self._loop.time() + call.timeout_ms / 1000)
        try:
            await self._do(call)
        except MailError as error:
            self._refuse(call, error)
        except asyncio.CancelledError:
            if number not in self._expired:
                raise
            self._expired.discard(number)
            self._refuse(call, StoreUnavailable("the deadline passed"))
        except Exception:
            metrics.bugs.inc()
            log.exception("call failed", call=call.WhichOneof("request"))
            self._put(call.id, "fault", pb.Answer.Fault(detail=BUG.text).SerializeToString())
        finally:
            self._drain.leave()
            self._deadlines.remove(number)
            del self._calls[number]

    def _refuse(self, call: pb.Call, error: MailError) -> None:
        self._put(call.id, "refusal", to_refusal(error).SerializeToString())

    async def _do(self, call: pb.Call) -> None:
        name = call.WhichOneof("request")
        if name is None or not call.timeout_ms:
            raise InvalidArgument("a call has a request and milliseconds left")
        method = self._table[name]
        request = getattr(call, name)
        if not method.answers_in_parts:
            answer = await method.inline(request)
            self._put(call.id, name, answer.SerializeToString())
            return
        parts = cast("AsyncGenerator[Message | bytes, None]", method.inline(request))
        async with aclosing(parts):
            await self._put_parts(call.id, name, parts)

    async def _put_parts(self, call_id: int, name: str, parts: AsyncIterator[Any]) -> None:
        last: bytes | None = None
        sent = 0
        async for part in parts:
            payload = encoded(part)
            if last is not None:
                self._put(call_id, name, last, has_more=True)
                # A part takes some milliseconds to make; other calls have their turn in between.
                await asyncio.sleep(0)
                if name in RESUMABLE and sent + len(payload) > ANSWER_OCTETS:
                    self._put(call_id, "end", pb.Answer.End(is_cut=True).SerializeToString())
                    return
            last = payload
            sent += len(payload)
        if last is None:
            self._put(call_id, "end", b"")
        else:
            self._put(call_id, name, last)
