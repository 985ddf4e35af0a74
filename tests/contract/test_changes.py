"""The change log, listed and followed. RFC 7162 §3, and what internal programs rely on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.mail.errors import AccountUnknown, BehindFloor
from services.mail.store.changes import Change, ChangeKind, Fallen
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange
from tests.contract.subject import DEFAULT, EVERY, Subject, letter

Events = AsyncIterator[Change | Fallen]


async def busy(subject: Subject, inbox: MailboxKey) -> None:
    """Some writes of every kind, and one that touches two mailboxes at once."""
    other = (await subject.store.mailboxes.create(inbox.account_id, "a/b")).key
    await subject.store.deliveries.deliver(letter(inbox, other))
    await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Seen"])
    await subject.store.messages.copy(inbox, EVERY, "a")
    await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True)
    await subject.store.mailboxes.rename(inbox.account_id, "a/b", "c")
    await subject.store.mailboxes.delete(inbox.account_id, "c")


async def take(events: Events, until: int) -> list[Change]:
    """Changes up to and with modseq `until`; the last modseq has one row."""
    found: list[Change] = []
    while not found or found[-1].modseq < until:
        event = await anext(events)
        assert isinstance(event, Change)
        found.append(event)
    return found


async def test_the_log_lists_whole_modseqs_in_order(subject: Subject) -> None:
    """However small the pages, nothing is left out and nothing told twice."""
    inbox = await subject.inbox()
    await busy(subject, inbox)
    whole = list(await subject.store.changes.list(inbox.account_id, 0, 1000))
    assert [each.modseq for each in whole] == sorted(each.modseq for each in whole)
    assert all(each.account_id == inbox.account_id for each in whole)
    for limit in (2, 3, 4, 7):
        since = 0
        pages: list[Change] = []
        while page := await subject.store.changes.list(inbox.account_id, since, limit):
            assert len(page) <= max(limit, len(DEFAULT)), "the first modseq made as many mailboxes"
            pages += page
            since = page[-1].modseq
        assert sorted(pages, key=repr) == sorted(whole, key=repr)


async def test_the_log_says_when_it_does_not_reach_back(subject: Subject) -> None:
    """BehindFloor; from the floor on it answers."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    floor = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.trim(inbox.account_id)
    await subject.fill(inbox, 1)
    with pytest.raises(BehindFloor):
        await subject.store.changes.list(inbox.account_id, floor - 1, 10)
    assert [each.uids for each in await subject.store.changes.list(inbox.account_id, floor, 10)] == [
        ((3, 3),)
    ]
    with pytest.raises(AccountUnknown):
        await subject.store.changes.list(2**40, 0, 10)


async def test_a_watch_tells_what_the_log_holds_and_then_what_comes(subject: Subject) -> None:
    """In order, each row once."""
    inbox = await subject.inbox()
    await busy(subject, inbox)
    log = list(await subject.store.changes.list(inbox.account_id, 0, 1000))
    watch = subject.store.changes.watch()
    assert await watch.add(inbox.account_id, 0) == 0
    events = aiter(watch)
    assert sorted(await take(events, log[-1].modseq), key=repr) == sorted(log, key=repr)
    await subject.fill(inbox, 2)
    highest = await subject.store.mailboxes.highest_modseq(inbox)
    later = await take(events, highest)
    assert [(each.kind, each.uids) for each in later] == [
        (ChangeKind.ADDED, ((2, 2),)),
        (ChangeKind.ADDED, ((3, 3),)),
    ]
    await watch.close()


async def test_a_watch_from_now_on_says_where_that_is(subject: Subject) -> None:
    """So that it can be resumed before its first change."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 1)
    watch = subject.store.changes.watch()
    now = await watch.add(inbox.account_id)
    assert now == await subject.store.mailboxes.highest_modseq(inbox)
    await watch.close()
    await subject.fill(inbox, 1)
    resumed = subject.store.changes.watch()
    assert await resumed.add(inbox.account_id, now) == now
    event = await anext(aiter(resumed))
    assert isinstance(event, Change)
    assert (event.modseq > now, event.uids) == (True, ((2, 2),))
    await resumed.close()


async def test_whoever_waits_is_woken_by_a_change(subject: Subject) -> None:
    """The waiting comes first, the change afterwards."""
    inbox = await subject.inbox()
    watch = subject.store.changes.watch()
    await watch.add(inbox.account_id)
    waiting = asyncio.ensure_future(anext(aiter(watch)))
    await subject.fill(inbox, 1)
    event = await waiting
    assert isinstance(event, Change)
    assert event == (await subject.store.changes.list(inbox.account_id, event.modseq - 1, 1))[0]
    await watch.close()


async def test_a_watch_behind_the_floor_is_told_to_start_over_and_goes_on(subject: Subject) -> None:
    """Fallen, with the modseq from which it goes on."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    await subject.trim(inbox.account_id)
    watch = subject.store.changes.watch()
    await watch.add(inbox.account_id, 1)
    events = aiter(watch)
    assert await anext(events) == Fallen(
        inbox.account_id, await subject.store.mailboxes.highest_modseq(inbox)
    )
    await subject.fill(inbox, 1)
    event = await anext(events)
    assert isinstance(event, Change)
    assert event.uids == ((3, 3),)
    await watch.close()


async def test_a_watch_follows_many_accounts_each_from_its_own_place(subject: Subject) -> None:
    """And those that it does not follow are not told."""
    boxes = [await subject.inbox() for _ in range(4)]
    watch = subject.store.changes.watch()
    for box in boxes[:3]:
        await watch.add(box.account_id)
    await watch.remove(boxes[0].account_id)
    events = aiter(watch)
    for box in boxes:
        await subject.fill(box, 1)
    found = [await anext(events), await anext(events)]
    assert {event.account_id for event in found} == {boxes[1].account_id, boxes[2].account_id}
    await subject.fill(boxes[0], 1)
    await subject.fill(boxes[2], 1)
    assert (await anext(events)).account_id == boxes[2].account_id
    await watch.close()


async def test_adding_again_starts_over_from_there(subject: Subject) -> None:
    """What was told is told again."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 3)
    highest = await subject.store.mailboxes.highest_modseq(inbox)
    watch = subject.store.changes.watch()
    await watch.add(inbox.account_id, highest - 1)
    events = aiter(watch)
    first = await take(events, highest)
    await watch.add(inbox.account_id, highest - 2)
    again = await take(events, highest)
    assert [each.uids for each in first] == [((3, 3),)]
    assert [each.uids for each in again] == [((2, 2),), ((3, 3),)]
    await watch.close()


async def test_an_account_that_is_not_there_cannot_be_followed(subject: Subject) -> None:
    """And the others go on."""
    inbox = await subject.inbox()
    watch = subject.store.changes.watch()
    await watch.add(inbox.account_id)
    with pytest.raises(AccountUnknown):
        await watch.add(2**40)
    await subject.fill(inbox, 1)
    assert (await anext(aiter(watch))).account_id == inbox.account_id
    await watch.close()


async def test_closing_ends_the_iteration(subject: Subject) -> None:
    """Also of somebody who waits."""
    inbox = await subject.inbox()
    watch = subject.store.changes.watch()
    await watch.add(inbox.account_id)

    async def follow() -> list[Change | Fallen]:
        return [event async for event in watch]

    waiting = asyncio.ensure_future(follow())
    await subject.fill(inbox, 1)
    await asyncio.sleep(0)
    await watch.close()
    assert len(await waiting) <= 1


async def test_modseqs_never_go_back_while_many_write(subject: Subject) -> None:
    """Commit order is modseq order: nobody who has seen M later finds a smaller one."""
    inbox = await subject.inbox()
    other = (await subject.store.mailboxes.create(inbox.account_id, "Other")).key
    watch = subject.store.changes.watch()
    since = await watch.add(inbox.account_id)
    boxes = [inbox, other] * 20
    writing = asyncio.gather(*(subject.store.deliveries.deliver(letter(box)) for box in boxes))
    uids: dict[int, list[int]] = {inbox.mailbox_id: [], other.mailbox_id: []}
    last = since
    async for event in watch:
        assert isinstance(event, Change)
        assert event.modseq >= last
        last = event.modseq
        uids[event.mailbox_id] += [uid for a, b in event.uids for uid in range(a, b + 1)]
        if sum(map(len, uids.values())) == len(boxes):
            break
    await writing
    assert uids == {inbox.mailbox_id: list(range(1, 21)), other.mailbox_id: list(range(1, 21))}
    await watch.close()
