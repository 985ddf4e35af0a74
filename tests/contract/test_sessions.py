"""Processes, sessions and maildrop locks. RFC 1939 §4."""

from uuid import uuid4

import pytest

from services.mail.errors import LockLost, MailboxInUse
from services.mail.store.sessions import LEASE_SECONDS, Process, Session
from tests.contract.subject import Subject


def process() -> Process:
    """A process of the test's own."""
    return Process(uuid4(), "imap", "127.0.0.1:9")


async def session(subject: Subject) -> Session:
    """A session of a fresh account."""
    return Session(uuid4(), (await subject.account()).account_id, "imap", "192.0.2.1", 1_700_000_000)


async def test_a_maildrop_has_one_holder(subject: Subject) -> None:
    """RFC 1939 §4; another account's is another."""
    sessions = subject.store.sessions
    one, two = (await subject.account()).account_id, (await subject.account()).account_id
    lock = await sessions.lock_maildrop(one)
    with pytest.raises(MailboxInUse):
        await sessions.lock_maildrop(one)
    await sessions.lock_maildrop(two)
    await sessions.release_maildrop(lock)
    assert (await sessions.lock_maildrop(one)).epoch > lock.epoch


async def test_a_lease_that_is_renewed_holds(subject: Subject) -> None:
    """LEASE_SECONDS from each renewal."""
    sessions, account_id = subject.store.sessions, (await subject.account()).account_id
    lock = await sessions.lock_maildrop(account_id)
    for _ in range(3):
        await subject.advance(LEASE_SECONDS * 0.7)
        await sessions.renew_maildrop(lock)
    with pytest.raises(MailboxInUse):
        await sessions.lock_maildrop(account_id)


async def test_a_lease_that_ran_out_is_lost_and_free_to_take(subject: Subject) -> None:
    """Whoever lost it can neither renew it nor give away the next one's."""
    sessions, account_id = subject.store.sessions, (await subject.account()).account_id
    lost = await sessions.lock_maildrop(account_id)
    await subject.advance(LEASE_SECONDS + 1)
    with pytest.raises(LockLost):
        await sessions.renew_maildrop(lost)
    held = await sessions.lock_maildrop(account_id)
    assert held.epoch > lost.epoch
    with pytest.raises(LockLost):
        await sessions.renew_maildrop(lost)
    await sessions.release_maildrop(lost)
    await sessions.renew_maildrop(held)


async def test_sessions_are_listed_as_they_were_last_told(subject: Subject) -> None:
    """By account, until they are closed."""
    sessions, own, one = subject.store.sessions, process(), await session(subject)
    assert list(await sessions.beat(own, [one], [])) == []
    assert list(await sessions.list(one.account_id)) == [one]
    moved = Session(one.session_id, one.account_id, one.door, one.peer, one.opened_at, 1, 7)
    other = await session(subject)
    await sessions.beat(own, [moved, other], [])
    assert list(await sessions.list(one.account_id)) == [moved]
    assert [each.address for each in await sessions.list(one.account_id)] == [subject.accounts[0].address]
    await subject.store.accounts.remove_account(one.account_id)
    assert [each.address for each in await sessions.list(one.account_id)] == [""]
    assert {moved, other} <= set(await sessions.list())
    await sessions.beat(own, [], [one.session_id])
    assert list(await sessions.list(one.account_id)) == []


async def test_a_session_can_be_asked_to_end(subject: Subject) -> None:
    """Its process hears of it at the next beat, another's does not."""
    sessions, own, another = subject.store.sessions, process(), process()
    one, two = await session(subject), await session(subject)
    await sessions.beat(own, [one], [])
    await sessions.beat(another, [two], [])
    assert await sessions.end(one.session_id)
    assert list(await sessions.beat(another, [], [])) == []
    assert list(await sessions.beat(own, [], [])) == [one.session_id]
    assert list(await sessions.beat(own, [], [one.session_id])) == []
    assert not await sessions.end(one.session_id)
    assert not await sessions.end(uuid4())


async def test_a_process_that_stops_beating_loses_its_sessions_and_no_others(subject: Subject) -> None:
    """A lease by the store's clock."""
    sessions, silent, living = subject.store.sessions, process(), process()
    one, two = await session(subject), await session(subject)
    await sessions.beat(silent, [one], [])
    await sessions.beat(living, [two], [])
    await subject.advance(LEASE_SECONDS * 0.7)
    await sessions.beat(living, [], [])
    await subject.advance(LEASE_SECONDS * 0.7)
    assert list(await sessions.list(one.account_id)) == []
    assert list(await sessions.list(two.account_id)) == [two]
    assert not await sessions.end(one.session_id)
