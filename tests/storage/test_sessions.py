"""Sessions and maildrop locks on PostgreSQL: what several do at once, and what a beat costs."""

import asyncio
from uuid import uuid4

from services.mail.errors import MailboxInUse
from services.mail.store.sessions import MaildropLock, Process, Session
from services.storage.store import PostgresStore
from tests.storage.conftest import held, inbox


def process() -> Process:
    """A process of the test's own."""
    return Process(uuid4(), "imap", "127.0.0.1:9")


def session(account_id: int, opened_at: int = 1_700_000_000) -> Session:
    """A session of this account."""
    return Session(uuid4(), account_id, "imap", "192.0.2.1", opened_at)


async def test_of_many_who_lock_a_maildrop_one_does(store: PostgresStore) -> None:
    """RFC 1939 §4: an exclusive-access lock."""
    account_id = (await inbox(store)).account_id
    for epoch in (1, 2):
        tried = await asyncio.gather(
            *(store.sessions.lock_maildrop(account_id) for _ in range(10)), return_exceptions=True
        )
        locks = [each for each in tried if isinstance(each, MaildropLock)]
        assert locks == [MaildropLock(account_id, epoch)]
        assert sum(isinstance(each, MailboxInUse) for each in tried) == 9
        await store.sessions.release_maildrop(locks[0])


async def test_a_beat_is_one_transaction_however_much_it_tells(store: PostgresStore) -> None:
    """Also where one session comes twice: the last word counts."""
    own, account_id = process(), (await inbox(store)).account_id
    opened = [session(account_id, number) for number in range(1, 1001)]
    moved = Session(opened[0].session_id, account_id, "imap", "192.0.2.1", 1, 1, 7)
    before = store.counts.transactions
    await store.sessions.beat(own, [*opened, moved], [each.session_id for each in opened[500:]])
    assert store.counts.transactions == before + 1
    assert await store.sessions.list(account_id) == [moved, *opened[1:500]]


async def test_a_session_that_another_process_took_up_is_not_closed_by_the_first(
    store: PostgresStore,
) -> None:
    """Nobody loses what is somebody else's."""
    first, second = process(), process()
    one = session((await inbox(store)).account_id)
    await store.sessions.beat(first, [one], [])
    await store.sessions.beat(second, [one], [])
    await store.sessions.beat(first, [], [one.session_id])
    assert await store.sessions.list(one.account_id) == [one]
    assert await store.sessions.end(one.session_id)
    assert list(await store.sessions.beat(first, [], [])) == []
    assert list(await store.sessions.beat(second, [], [])) == [one.session_id]


async def test_nothing_of_it_waits_for_an_account(store: PostgresStore, database_url: str) -> None:
    """architecture.md, "The rule of writing": these rows are locked alone."""
    own, account_id = process(), (await inbox(store)).account_id
    one = session(account_id)
    async with held(database_url, account_id):
        await store.sessions.beat(own, [one], [])
        assert await store.sessions.end(one.session_id)
        lock = await store.sessions.lock_maildrop(account_id)
        await store.sessions.renew_maildrop(lock)
        await store.sessions.release_maildrop(lock)
        assert list(await store.sessions.beat(own, [], [])) == [one.session_id]
        await store.sessions.beat(own, [], [one.session_id])
        assert await store.sessions.list(account_id) == []
