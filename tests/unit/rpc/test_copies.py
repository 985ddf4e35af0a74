"""Several copies: drains, deaths, renewals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields, replace
from typing import Any
from uuid import uuid4

import pytest

from services.mail.errors import StoreUnavailable
from services.mail.store import Store
from services.mail.store.deliveries import Addressee, Delivered, Letter
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, FlagChange
from services.plumbing.failures import SettingsWrong
from services.plumbing.rpc.client.copies import places_of, resolve
from tests.unit.rpc.ends import Site
from tests.unit.rpc.letters import (
    HeldDeliveries,
    bodies,
    letter_to,
    make_inbox,
    until_there_are,
    with_deliveries,
)

ONE = ((1, 1),)


async def deliver_many(store: Store, mailbox: MailboxKey, sender: int, count: int) -> list[Delivered]:
    """One sender's letters, each after the one before."""
    return [
        await store.deliveries.deliver(letter_to(mailbox, b"From: %d\r\n\r\n%d" % (sender, number)))
        for number in range(count)
    ]


async def test_a_drain_moves_twenty_senders_without_an_error(site: Site) -> None:
    """Nothing lost, nothing twice; the copy that left is drained, and another takes its place."""
    mailbox = await make_inbox(site.store)
    first = await site.add()
    await site.add()
    async with site.client() as store, asyncio.TaskGroup() as senders:
        tasks = [senders.create_task(deliver_many(store, mailbox, sender, 40)) for sender in range(20)]
        await until_there_are(site.store, mailbox, 100)
        await first.drain()
        await first.stop(0)
        await site.add(port=site.ports[0])
        await until_there_are(site.store, mailbox, 400)
        await site.servers[1].drain()
        await site.servers[1].stop(0)
    delivered = [each for task in tasks for each in task.result()]
    assert not any(each.is_repeated for each in delivered)
    stored = await bodies(site.store, mailbox)
    assert sorted(stored, key=str) == sorted(
        (b"From: %d\r\n\r\n%d" % (sender, number) for sender in range(20) for number in range(40)), key=str
    )


async def sent_while_its_copy_dies(
    site: Site, letter: Letter, is_stored: bool
) -> tuple[HeldDeliveries, Delivered | BaseException]:
    """Who had the letter when the copy died, and what its sender heard; `site.store` has what was stored."""
    (addressee,) = letter.addressees
    held = HeldDeliveries(site.store.deliveries)
    if is_stored:
        held.before.set()
    memory, site.store = site.store, with_deliveries(site.store, held)
    dying = await site.add()
    async with site.client() as store:
        delivering = asyncio.create_task(store.deliveries.deliver(letter))
        await held.arrived.wait()
        if is_stored:
            await until_there_are(memory, addressee.mailbox, 1)
        await dying.stop(0)
        site.store = memory
        await site.add(port=site.ports[0])
        (heard,) = await asyncio.gather(delivering, return_exceptions=True)
    return held, heard


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_letter_in_flight_when_its_copy_dies_is_sent_again_with_its_id(
    site: Site, is_stored: bool
) -> None:
    """Whether it was stored by then or not, it is there once. RFC 1047 is about those who have no id."""
    mailbox = await make_inbox(site.store)
    letter = letter_to(mailbox)
    held, heard = await sent_while_its_copy_dies(site, letter, is_stored)
    assert isinstance(heard, Delivered)
    assert heard.is_repeated is is_stored
    assert len(await bodies(site.store, mailbox)) == 1
    assert [each.request_id for each in held.taken] == [letter.request_id]


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_streamed_letter_whose_copy_died_is_asked_after_by_its_id(
    site: Site, is_stored: bool
) -> None:
    """It cannot be sent again; where it was not stored, it never is after its sender was told so."""
    mailbox = await make_inbox(site.store)
    octets = bytes(2 * INLINE_OCTETS)

    async def stream() -> AsyncIterator[bytes]:
        yield octets

    letter = Letter(uuid4(), (Addressee(mailbox),), stream())
    _, heard = await sent_while_its_copy_dies(site, letter, is_stored)
    if is_stored:
        assert isinstance(heard, Delivered)
        assert (heard.is_repeated, len(heard.outcomes)) == (True, 1)
    else:
        assert isinstance(heard, StoreUnavailable)
        with pytest.raises(StoreUnavailable):
            await site.store.deliveries.deliver(replace(letter, body=octets))
    assert len(await bodies(site.store, mailbox)) == is_stored


async def test_a_write_without_an_id_is_not_sent_again(site: Site) -> None:
    """It may have taken effect."""
    arrived, never = asyncio.Event(), asyncio.Event()

    class HeldMessages:
        async def append(self, *_: object) -> None:
            arrived.set()
            await never.wait()

    parts = HeldMessages()
    site.store = Store(*[parts] * len(Store.__slots__))  # type: ignore[arg-type]
    dying = await site.add()
    async with site.client() as store:
        appending = asyncio.create_task(store.messages.append(MailboxKey(1, 1), b"x", 1))
        await arrived.wait()
        await dying.stop(0)
        await site.add(port=site.ports[0])
        with pytest.raises(StoreUnavailable):
            await appending


# Of two messages, how many stay and how many are in Archive; and whether it is sent again.
WRITES: list[tuple[Callable[[Store, MailboxKey], Awaitable[object]], tuple[int, int], bool]] = [
    (lambda store, key: store.messages.store(key, ONE, FlagChange.ADD, ["\\Seen"]), (2, 0), False),
    (
        lambda store, key: store.messages.store(key, ONE, FlagChange.ADD, ["\\Seen"], None, uuid4()),
        (2, 0),
        True,
    ),
    (lambda store, key: store.messages.expunge(key, ONE), (2, 0), False),
    (lambda store, key: store.messages.expunge(key, ONE, request_id=uuid4()), (2, 0), True),
    (lambda store, key: store.messages.expunge(key, ONE, even_undeleted=True), (1, 0), True),
    (lambda store, key: store.messages.expunge(key, even_undeleted=True), (0, 0), False),
    (lambda store, key: store.messages.move(key, ONE, "Archive"), (1, 1), False),
    (lambda store, key: store.messages.move(key, ONE, "Archive", uuid4()), (1, 1), True),
]


@pytest.mark.parametrize(("write", "left", "is_repeated"), WRITES)
async def test_a_write_that_means_the_same_twice_is_sent_again(
    site: Site,
    write: Callable[[Store, MailboxKey], Awaitable[object]],
    left: tuple[int, int],
    is_repeated: bool,
) -> None:
    """Its copy dies after the commit: the client hears of it once, and it has happened once."""
    mailbox = await make_inbox(site.store)
    for _ in range(2):
        await site.store.deliveries.deliver(letter_to(mailbox))
    memory, stored = site.store, asyncio.Event()

    class Dumb:
        """Does it, and says nothing."""

        def __getattr__(self, asked: str) -> Any:
            async def answer(*arguments: Any) -> None:
                await getattr(memory.messages, asked)(*arguments)
                stored.set()
                await asyncio.Event().wait()

            return answer

    parts = {part.name: getattr(memory, part.name) for part in fields(Store)}
    site.store = Store(**{**parts, "messages": Dumb()})
    dying = await site.add()
    async with site.client() as store:
        writing = asyncio.ensure_future(write(store, mailbox))
        await stored.wait()
        await dying.stop(0)
        site.store = memory
        await site.add(port=site.ports[0])
        if is_repeated:
            await writing
        else:
            with pytest.raises(StoreUnavailable):
                await writing
    statuses = [(await memory.mailboxes.status(mailbox.account_id, name))[1] for name in ("INBOX", "Archive")]
    assert tuple(status.messages for status in statuses) == left


async def test_a_stream_is_renewed_by_our_own_clock(site: Site) -> None:
    """Calls go on meanwhile; each renewal opens a stream before it leaves the old one."""
    mailbox = await make_inbox(site.store)
    await site.add()
    async with site.client(renew_seconds=0.02) as store:
        delivered = await deliver_many(store, mailbox, 1, 200)
    assert len(delivered) == 200
    assert len(await bodies(site.store, mailbox)) == 200


async def test_many_calls_at_once_use_every_copy(site: Site) -> None:
    mailbox = await make_inbox(site.store)
    memory = site.store
    held = [HeldDeliveries(memory.deliveries) for _ in range(2)]
    for each in held:
        site.store = with_deliveries(memory, each)
        await site.add()
    async with site.client() as store:
        while not all(each.taken for each in held):
            tasks = [asyncio.create_task(store.deliveries.deliver(letter_to(mailbox))) for _ in range(20)]
            await asyncio.sleep(0.01)
            for each in held:
                each.before.set()
                each.after.set()
            await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    "storage", ["", "localhost", "localhost:", "localhost:0", ":1", "a:1,,b:2", "a:99999"]
)
def test_an_address_without_host_or_port_stops_the_start(storage: str) -> None:
    with pytest.raises(SettingsWrong, match="RESTANTE_STORAGE"):
        places_of(storage)


def test_addresses_are_hosts_and_ports() -> None:
    assert places_of("a.example:1, [::1]:2") == [("a.example", 1), ("::1", 2)]


async def test_a_name_is_resolved_to_one_family() -> None:
    """A copy with two addresses is one copy."""
    assert await resolve("localhost", 7) == [("localhost", "127.0.0.1", 7)]
