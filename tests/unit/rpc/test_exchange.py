"""The stream of calls: in any order, bounded, with deadlines."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from restante.v1 import accounts_pb2, exchange_pb2, exchange_pb2_grpc

from services.mail.errors import StoreUnavailable
from services.mail.store import Store
from services.mail.store.accounts import Recipient
from services.plumbing.rpc.client import Patience
from services.plumbing.rpc.outbox import Outbox
from services.plumbing.rpc.server import Bounds
from tests.unit.rpc.ends import SHOWN, Site


@dataclass(slots=True)
class HeldAccounts:
    """Resolves an address when its name is let go; `now` at once."""

    asked: list[str] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    has_ended: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: dict[str, asyncio.Event] = field(default_factory=dict)

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        """See the port."""
        self.asked.append(address)
        self.is_asked.set()
        try:
            if address != "now":
                await self.let_go.setdefault(address, asyncio.Event()).wait()
            return [Recipient(1, 1, address)]
        finally:
            self.has_ended.set()


@pytest.fixture
def accounts(site: Site) -> HeldAccounts:
    """Takes the place of the site's store."""
    accounts = HeldAccounts()
    site.store = Store(*[accounts] * len(Store.__slots__))  # type: ignore[arg-type]
    return accounts


def resolve_call(number: int, address: str, timeout_ms: int = 5000) -> exchange_pb2.Call:
    """A call as it travels."""
    request = accounts_pb2.ResolveRequest(address=address)
    return exchange_pb2.Call(id=number, timeout_ms=timeout_ms, resolve=request)


async def next_answer(exchange: Any) -> exchange_pb2.Answer:
    """The only one of the next message."""
    response = await exchange.read()
    assert isinstance(response, exchange_pb2.ExchangeResponse)
    (answer,) = response.answers
    return answer


async def test_a_slow_call_holds_up_no_other(site: Site, accounts: HeldAccounts) -> None:
    await site.add()
    async with site.client() as store:
        slow = asyncio.create_task(store.accounts.resolve("slow"))
        assert (await store.accounts.resolve("now"))[0].address == "now"
        assert not slow.done()
        accounts.let_go["slow"].set()
        assert (await slow)[0].address == "slow"


async def test_calls_of_one_message_are_answered_each_when_it_is_ready(
    site: Site, accounts: HeldAccounts
) -> None:
    await site.add()
    async with grpc.aio.insecure_channel(site.storage) as channel:
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel).Exchange(metadata=SHOWN)
        calls = [resolve_call(1, "a"), resolve_call(2, "b"), resolve_call(3, "now")]
        await exchange.write(exchange_pb2.ExchangeRequest(calls=calls))
        answer = await next_answer(exchange)
        assert answer.id == 3
        accounts.let_go["b"].set()
        answer = await next_answer(exchange)
        assert (answer.id, answer.resolve.recipient.address) == (2, "b")
        accounts.let_go["a"].set()
        await exchange.done_writing()
        answer = await next_answer(exchange)
        assert answer.id == 1
        assert await exchange.read() is grpc.aio.EOF


async def test_above_the_bound_a_call_is_not_begun(site: Site, accounts: HeldAccounts) -> None:
    await site.add(bounds=Bounds(calls_of_a_stream=2))
    async with grpc.aio.insecure_channel(site.storage) as channel:
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel).Exchange(metadata=SHOWN)
        calls = [resolve_call(number, str(number)) for number in (1, 2, 3)]
        await exchange.write(exchange_pb2.ExchangeRequest(calls=calls))
        answer = await next_answer(exchange)
        assert (answer.id, answer.WhichOneof("outcome")) == (3, "not_taken")
        assert accounts.asked == ["1", "2"]
        exchange.cancel()


async def test_whoever_never_reads_is_cut_off(site: Site, accounts: HeldAccounts) -> None:
    """What is owed to one stream is bounded."""
    await site.add(bounds=Bounds(calls_of_a_stream=2))
    async with grpc.aio.insecure_channel(site.storage) as channel:
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel).Exchange(metadata=SHOWN)
        calls = [resolve_call(number, str(number)) for number in range(1, 100)]
        await exchange.write(exchange_pb2.ExchangeRequest(calls=calls))
        assert await exchange.code() is grpc.StatusCode.UNAVAILABLE
        assert len(accounts.asked) <= 2


async def test_a_call_ends_at_its_deadline(site: Site, accounts: HeldAccounts) -> None:
    """On the server too, so that nothing is left of it there."""
    await site.add()
    async with grpc.aio.insecure_channel(site.storage) as channel:
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel).Exchange(metadata=SHOWN)
        await exchange.write(exchange_pb2.ExchangeRequest(calls=[resolve_call(1, "never", timeout_ms=1)]))
        answer = await next_answer(exchange)
        assert answer.refusal.name == "StoreUnavailable"
        await exchange.write(exchange_pb2.ExchangeRequest(calls=[resolve_call(2, "now", timeout_ms=0)]))
        answer = await next_answer(exchange)
        assert answer.refusal.name == "InvalidArgument"
        exchange.cancel()


async def test_a_call_ends_at_its_deadline_when_its_caller_is_gone(
    site: Site, accounts: HeldAccounts
) -> None:
    await site.add()
    async with asyncio.timeout(5), grpc.aio.insecure_channel(site.storage) as channel:
        exchange = exchange_pb2_grpc.ExchangeServiceStub(channel).Exchange(metadata=SHOWN)
        await exchange.write(exchange_pb2.ExchangeRequest(calls=[resolve_call(1, "never", timeout_ms=300)]))
        await accounts.is_asked.wait()
        exchange.cancel()
        await accounts.has_ended.wait()


async def test_a_caller_waits_no_longer_than_its_patience(site: Site, accounts: HeldAccounts) -> None:
    await site.add()
    async with site.client(Patience(read=0.05)) as store:
        with pytest.raises(StoreUnavailable):
            await store.accounts.resolve("never")
        assert (await store.accounts.resolve("now"))[0].address == "now"


async def test_where_no_copy_is_reached_a_call_waits_and_then_says_so(site: Site) -> None:
    site.ports.append(1)
    async with site.client(Patience(find=0.05)) as store:
        with pytest.raises(StoreUnavailable):
            await store.accounts.resolve("now")


async def test_a_copy_that_comes_later_answers_the_call_that_waits(
    site: Site, accounts: HeldAccounts
) -> None:
    server = await site.add()
    await server.stop(0)
    async with site.client() as store:
        waiting = asyncio.create_task(store.accounts.resolve("now"))
        await asyncio.sleep(0)
        await site.add(port=site.ports.pop())
        assert (await waiting)[0].address == "now"


async def test_what_waits_goes_together() -> None:
    """Alone a frame goes at once; a batch is bounded by octets."""
    outbox = Outbox(max_batch=5)
    outbox.put(b"a")
    assert await outbox.next() == b"a"
    for frame in (b"bb", b"cc", b"dd", b"a longer one", b"e"):
        outbox.put(frame)
    outbox.close()
    assert [await outbox.next() for _ in range(5)] == [b"bbcc", b"dd", b"a longer one", b"e", None]
