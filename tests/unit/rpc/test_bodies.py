"""Octets both ways: exact, in bounded pieces, resumed."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import grpc
import pytest
from restante.v1 import deliveries_pb2, deliveries_pb2_grpc

from services.mail.errors import InvalidMessage, MessageGone, StoreUnavailable
from services.mail.store import Store
from services.mail.store.deliveries import Addressee, Letter
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Appended, Items, Page
from services.mail.store.uids import Runs
from services.plumbing.rpc.client.copies import MOST_IN_FLIGHT
from services.plumbing.rpc.convert.uids import key_to_wire
from services.plumbing.rpc.server import Bounds
from tests.unit.rpc.ends import PATIENCE, SHOWN, Site
from tests.unit.rpc.letters import bodies, letter_to, make_inbox

SIZES = (0, 1, INLINE_OCTETS - 1, INLINE_OCTETS, INLINE_OCTETS + 1, 3 * INLINE_OCTETS + 7)


def text_of(size: int) -> bytes:
    """Octets that repeat nowhere near."""
    return random.Random(size).randbytes(size)


async def in_pieces(octets: bytes, size: int) -> AsyncIterator[bytes]:
    """A body that can be read once."""
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("piece", [None, 1000, 700_000])
async def test_octets_come_back_as_they_went(site: Site, size: int, piece: int | None) -> None:
    """By append and by deliver, on the exchange and on streams of their own."""
    mailbox = await make_inbox(site.store)
    await site.add()
    octets = b"Subject: exact\r\n\r\n" + text_of(size)
    async with site.client() as store:
        body = octets if piece is None else in_pieces(octets, piece)
        await store.messages.append(mailbox, body, len(octets))
        body = octets if piece is None else in_pieces(octets, piece)
        await store.deliveries.deliver(Letter(uuid4(), (Addressee(mailbox),), body))
        for uid in (1, 2):
            chunks = [chunk async for chunk in store.messages.read(mailbox, uid, 0, 2**40)]
            assert b"".join(chunks) == octets
            assert all(len(chunk) <= INLINE_OCTETS for chunk in chunks)
            middle = [chunk async for chunk in store.messages.read(mailbox, uid, 5, len(octets) - 1)]
            assert b"".join(middle) == octets[5:-1]
        found = await bodies(store, mailbox)
        assert found == [octets if len(octets) <= INLINE_OCTETS else None] * 2


async def test_slow_readers_keep_nobody_out(site: Site) -> None:
    """A stream lasts as long as its reader likes; calls, and further streams, go on beside it."""
    mailbox = await make_inbox(site.store)
    octets = text_of(2 * INLINE_OCTETS)
    await site.store.messages.append(mailbox, octets, len(octets))
    await site.add()
    async with site.client() as store:
        readers = [store.messages.read(mailbox, 1, 0, len(octets)) for _ in range(MOST_IN_FLIGHT)]
        starts = [await anext(reader) for reader in map(aiter, readers)]
        assert (await store.accounts.usage(mailbox.account_id)).messages == 1
        assert b"".join([chunk async for chunk in store.messages.read(mailbox, 1, 0, len(octets))]) == octets
        for start, reader in zip(starts, readers, strict=True):
            assert start + b"".join([chunk async for chunk in reader]) == octets


async def test_readers_that_do_not_read_keep_no_large_letter_out(site: Site) -> None:
    """A connection has only so many streams: one that is not read is let go, and taken up where it ended."""
    mailbox = await make_inbox(site.store)
    octets = text_of(3 * INLINE_OCTETS)
    await site.store.messages.append(mailbox, octets, len(octets))
    await site.add(bounds=Bounds(streams_of_a_connection=4))
    async with site.client(replace(PATIENCE, unread=0.05)) as store:
        readers = [aiter(store.messages.read(mailbox, 1, 0, len(octets))) for _ in range(8)]
        starts = [await anext(reader) for reader in readers]
        await store.messages.append(mailbox, octets, len(octets))
        for start, reader in zip(starts, readers, strict=True):
            assert start + b"".join([chunk async for chunk in reader]) == octets


async def test_a_body_of_another_length_is_refused_and_leaves_nothing(site: Site) -> None:
    mailbox = await make_inbox(site.store)
    await site.add()
    async with site.client() as store:
        for octets in (b"short", bytes(2 * INLINE_OCTETS)):
            with pytest.raises(InvalidMessage):
                await store.messages.append(mailbox, in_pieces(octets, 1000), len(octets) + 1)
        assert await bodies(store, mailbox) == []


async def test_a_sender_that_breaks_off_leaves_nothing(site: Site) -> None:
    """Its own error is what the caller sees."""
    mailbox = await make_inbox(site.store)
    await site.add()

    async def breaking() -> AsyncIterator[bytes]:
        yield bytes(2 * INLINE_OCTETS)
        raise ConnectionResetError

    async with site.client() as store:
        with pytest.raises(ConnectionResetError):
            await store.messages.append(mailbox, breaking(), 4 * INLINE_OCTETS)
        await store.messages.append(mailbox, b"x", 1)
        assert await bodies(store, mailbox) == [b"x"]


async def test_a_letter_of_no_announced_length_says_its_end(site: Site) -> None:
    """A half-close alone is what a broken stream looks like: what came so far is not a letter."""
    mailbox = await make_inbox(site.store)
    await site.add()
    header = deliveries_pb2.DeliverRequest.Header(
        request_id=uuid4().bytes,
        addressees=[deliveries_pb2.Addressee(mailbox=key_to_wire(mailbox))],
    )
    parts = [deliveries_pb2.DeliverRequest(header=header), deliveries_pb2.DeliverRequest(chunk=b"half a let")]
    async with grpc.aio.insecure_channel(site.storage) as channel:
        stub = deliveries_pb2_grpc.DeliveriesServiceStub(channel)
        for wrong in ([], [deliveries_pb2.DeliverRequest(end=11)]):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.Deliver(iter([*parts, *wrong]), metadata=SHOWN)
            assert dict(raised.value.trailing_metadata() or ())["restante-error"] == "InvalidMessage"
        assert await bodies(site.store, mailbox) == []
        await stub.Deliver(iter([*parts, deliveries_pb2.DeliverRequest(end=10)]), metadata=SHOWN)
    assert await bodies(site.store, mailbox) == [b"half a let"]


async def test_a_message_that_is_gone_is_said_to_be(site: Site) -> None:
    mailbox = await make_inbox(site.store)
    await site.add()
    async with site.client() as store:
        for end in (0, 10, 2**40):
            with pytest.raises(MessageGone):
                assert [chunk async for chunk in store.messages.read(mailbox, 9, 0, end)] == []


@dataclass(slots=True)
class Endless:
    """Pages without end, counted; appends that read when they are let."""

    pages: int = 0
    octets: int = 0

    async def fetch(self, mailbox: MailboxKey, uids: Runs, items: Items) -> AsyncIterator[Page]:
        """A page for each uid."""
        for uid in range(uids[0][0], 5000):
            self.pages += 1
            yield Page(uids=(uid,), bodies=(bytes(200_000),))

    async def append(
        self, mailbox: MailboxKey, body: AsyncIterator[bytes], *_: object, **__: object
    ) -> Appended:
        """Takes one chunk, and waits for ever."""
        self.octets += len(await anext(body))
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def endless(site: Site) -> Endless:
    """Takes the place of the site's store."""
    parts = Endless()
    site.store = Store(*[parts] * len(Store.__slots__))  # type: ignore[arg-type]
    return parts


async def test_pages_leave_storage_no_faster_than_they_are_read(site: Site, endless: Endless) -> None:
    """Back-pressure to the page: what is on its way is bounded by the connection's window, not by the folder."""
    await site.add()
    async with site.client() as store:
        pages = store.messages.fetch(MailboxKey(1, 1), ((1, 5000),), Items.BODY)
        await anext(pages)
        before = -1
        while before != endless.pages:
            before = endless.pages
            await asyncio.sleep(0.2)
        assert endless.pages < 60
        for _ in range(100):
            await anext(pages)
        assert endless.pages >= 100


async def test_a_body_leaves_its_source_no_faster_than_the_store_takes_it(
    site: Site, endless: Endless
) -> None:
    given = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 65536
            yield bytes(65536)

    await site.add()
    async with site.client() as store:
        appending = asyncio.create_task(store.messages.append(MailboxKey(1, 1), source(), 2**40))
        before = -1
        while before != given or not endless.octets:
            before = given
            await asyncio.sleep(0.2)
        assert given < 12 * 2**20
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending


async def test_a_fetch_goes_on_where_its_copy_went_away(site: Site) -> None:
    """Drained in the middle, then killed: every message once, in order."""
    mailbox = await make_inbox(site.store)
    octets = [b"Subject: %d\r\n\r\n" % number + bytes(100_000) for number in range(1, 121)]
    for each in octets:
        await site.store.deliveries.deliver(letter_to(mailbox, each))
    first, second = await site.add(), await site.add()
    async with site.client() as store:
        seen: list[bytes | None] = []
        pages = store.messages.fetch(mailbox, ((1, 2**32 - 1),), Items.BODY)
        async for page in pages:
            seen += page.bodies
            if len(seen) > 20 and first is not None:
                await first.drain()
                await first.stop(0)
                await site.add(port=site.ports[0])
                first = None  # type: ignore[assignment]
            if len(seen) > 60 and second is not None:
                await second.stop(0)
                second = None  # type: ignore[assignment]
        assert [hashlib.sha256(body or b"").digest() for body in seen] == [
            hashlib.sha256(each).digest() for each in octets
        ]


async def test_a_read_goes_on_where_its_copy_went_away(site: Site) -> None:
    mailbox = await make_inbox(site.store)
    octets = text_of(20 * 2**20)
    await site.store.deliveries.deliver(letter_to(mailbox, octets))
    first = await site.add()
    async with site.client() as store:
        read = bytearray()
        async for chunk in store.messages.read(mailbox, 1, 0, len(octets)):
            read += chunk
            if len(read) > 2**20 and first is not None:
                await first.stop(0)
                first = None  # type: ignore[assignment]
                await site.add(port=site.ports[0])
        assert bytes(read) == octets


async def test_a_large_letter_of_octets_is_sent_again_and_a_stream_is_not(site: Site) -> None:
    """An iterator can be read once; its caller sends the letter again, with the same id."""
    mailbox = await make_inbox(site.store)
    dying = await site.add()
    octets = text_of(4 * 2**20)
    stop = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield octets[: 2**20]
        stop.set()
        await asyncio.sleep(0.2)
        yield octets[2**20 :]

    async with site.client() as store:
        delivering = asyncio.create_task(
            store.deliveries.deliver(Letter(uuid4(), (Addressee(mailbox),), slow()))
        )
        await stop.wait()
        await dying.stop(0)
        await site.add(port=site.ports[0])
        with pytest.raises(StoreUnavailable):
            await delivering
        await store.deliveries.deliver(letter_to(mailbox, octets))
        assert len(await bodies(store, mailbox)) == 1
