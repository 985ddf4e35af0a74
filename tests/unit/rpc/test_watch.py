"""Following accounts over streams that come and go."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.mail.errors import AccountUnknown
from services.mail.store import Store
from services.mail.store.changes import Change, ChangeKind, Fallen
from services.mail.store.mailboxes import MailboxKey
from services.plumbing.rpc.client import follower
from tests.fakes.memory import MemoryStore
from tests.unit.rpc.ends import Site
from tests.unit.rpc.letters import letter_to, make_inbox


async def grow(store: Store, mailbox: MailboxKey, letters: int) -> int:
    """Delivers; answers the last modseq."""
    for _ in range(letters):
        await store.deliveries.deliver(letter_to(mailbox))
    return await store.mailboxes.highest_modseq(mailbox)


async def take(events: AsyncIterator[Change | Fallen], last_modseq: int) -> list[Change | Fallen]:
    """Everything up to a modseq."""
    taken: list[Change | Fallen] = []
    while not taken or taken[-1].modseq < last_modseq:
        taken.append(await anext(events))
    return taken


def uids(events: list[Change | Fallen]) -> list[int]:
    """The uids that were added."""
    return [
        uid
        for event in events
        if isinstance(event, Change) and event.kind is ChangeKind.ADDED
        for first, last in event.uids
        for uid in range(first, last + 1)
    ]


async def test_a_watch_outlives_every_copy(site: Site) -> None:
    """Drained, killed, and replaced: no change is lost, none comes twice, none out of order."""
    mailbox = await make_inbox(site.store)
    first, second = await site.add(), await site.add()
    async with site.client() as store:
        watch = store.changes.watch()
        await watch.add(mailbox.account_id)
        events = aiter(watch)
        seen = await take(events, await grow(site.store, mailbox, 3))
        last = await grow(site.store, mailbox, 2)
        await first.drain()
        await first.stop(0)
        seen += await take(events, await grow(site.store, mailbox, 2))
        await second.stop(0)
        last = await grow(site.store, mailbox, 2)
        await site.add(port=site.ports[1])
        seen += await take(events, last)
        await watch.close()
        assert uids(seen) == list(range(1, 10))
        assert [event async for event in events] == []


async def test_a_watch_from_now_on_keeps_its_now_when_the_copy_dies_before_the_first_change(
    site: Site,
) -> None:
    mailbox = await make_inbox(site.store)
    await grow(site.store, mailbox, 2)
    dying = await site.add()
    async with site.client() as store:
        watch = store.changes.watch()
        since = await watch.add(mailbox.account_id)
        assert since == await site.store.mailboxes.highest_modseq(mailbox)
        await dying.stop(0)
        last = await grow(site.store, mailbox, 2)
        await site.add(port=site.ports[0])
        assert uids(await take(aiter(watch), last)) == [3, 4]


async def test_all_rows_of_one_modseq_arrive_though_the_stream_breaks_between_them(site: Site) -> None:
    """The last modseq seen is asked for again, and what was seen of it is left out."""
    position = follower.Position(asyncio.get_running_loop().create_future(), at=6)
    rows = [Change(1, 7, mailbox_id, ChangeKind.ADDED, ((1, 1),)) for mailbox_id in (1, 2)]
    assert position.since() == 6
    assert position.accepts(rows[0])
    assert position.since() == 6
    assert [position.accepts(row) for row in rows] == [False, True]
    assert not position.accepts(Change(1, 6, 1, ChangeKind.ADDED, ((9, 9),)))


async def test_followers_share_a_stream_and_not_their_accounts(site: Site) -> None:
    alice, bob = await make_inbox(site.store), await make_inbox(site.store, "bob")
    await site.add()
    async with site.client() as store:
        of_alice, of_both = store.changes.watch(), store.changes.watch()
        await of_alice.add(alice.account_id)
        await of_both.add(alice.account_id, 0)
        await of_both.add(bob.account_id)
        last = await grow(site.store, bob, 1)
        both = aiter(of_both)
        while (await anext(both)).account_id != bob.account_id:
            pass
        last = await grow(site.store, alice, 1)
        assert uids(await take(aiter(of_alice), last)) == [1]
        await of_both.remove(bob.account_id)
        await grow(site.store, bob, 1)
        last = await grow(site.store, alice, 1)
        assert {event.account_id for event in await take(both, last)} == {alice.account_id}


async def test_adding_again_starts_over(site: Site) -> None:
    mailbox = await make_inbox(site.store)
    await site.add()
    async with site.client() as store:
        watch = store.changes.watch()
        await watch.add(mailbox.account_id)
        last = await grow(site.store, mailbox, 3)
        await take(aiter(watch), last)
        assert await watch.add(mailbox.account_id, last - 2) == last - 2
        assert uids(await take(aiter(watch), last)) == [2, 3]


async def test_who_is_behind_the_floor_is_told_to_start_over(site: Site) -> None:
    mailbox = await make_inbox(site.store)
    last = await grow(site.store, mailbox, 3)
    assert isinstance(site.store, MemoryStore)
    site.store.state.trim(mailbox.account_id)
    await site.add()
    async with site.client() as store:
        watch = store.changes.watch()
        await watch.add(mailbox.account_id, 1)
        events = aiter(watch)
        assert await anext(events) == Fallen(mailbox.account_id, last)
        assert uids(await take(events, await grow(site.store, mailbox, 1))) == [4]


async def test_an_account_that_is_none_is_refused(site: Site) -> None:
    await site.add()
    async with site.client() as store:
        watch = store.changes.watch()
        with pytest.raises(AccountUnknown):
            await watch.add(77)


async def test_a_slow_reader_holds_little_and_misses_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the bound the copy is told to stop, and asked again once what waited was read."""
    monkeypatch.setattr(follower, "MAX_WAITING", 10)
    mailbox = await make_inbox(site.store)
    other = await make_inbox(site.store, "bob")
    await site.add()
    async with site.client() as store:
        slow, quick = store.changes.watch(), store.changes.watch()
        await slow.add(mailbox.account_id)
        await quick.add(other.account_id)
        last = await grow(site.store, mailbox, 300)
        # The stream of both goes on: what comes after the slow one's changes arrives.
        await take(aiter(quick), await grow(site.store, other, 1))
        assert uids(await take(aiter(slow), last)) == list(range(1, 301))
