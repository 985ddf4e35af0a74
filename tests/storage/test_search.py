"""What a search costs, and the texts that are kept for it."""

import asyncio
import math
from collections import Counter
from uuid import uuid4

from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange
from services.mail.store.search import (
    Arrived,
    Everything,
    Flagged,
    InBody,
    InField,
    InText,
    Operator,
    Query,
    Sized,
)
from services.mail.store.sessions import Process
from services.mail.store.uids import LAST_UID
from services.storage.store import PostgresStore, StoreSettings, open_store
from services.storage.sweep.sweeper import SweepSettings
from services.storage.transaction import Statement
from tests.storage.conftest import inbox, letter
from tests.storage.counted import asked

KEPT = Statement("kept", "SELECT (SELECT count(*) FROM header_text), (SELECT count(*) FROM body_text)")


async def find(store: PostgresStore, mailbox: MailboxKey, *query: object) -> list[int]:
    """All uids."""
    keys: Query = query  # type: ignore[assignment]
    parts = store.search.search(mailbox, ((1, LAST_UID),), keys)
    return [uid async for part in parts for uid in part.uids]


async def kept(store: PostgresStore) -> tuple[int, int]:
    """Rows of header_text and body_text."""
    (row,) = await store.database.read(KEPT, {})
    return row[0], row[1]


async def test_a_search_costs_a_few_statements_and_reads_no_body_for_what_is_cheap(
    store: PostgresStore,
) -> None:
    """The mailbox, its blocks, and one for each text that is still in question."""
    mailbox = await inbox(store)
    await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(500)))
    await store.indexer.catch_up(mailbox.account_id)
    cheap = ["search: mailbox", "search: blocks"]
    for query, texts, found in [
        ((Flagged("\\Seen"),), [], 0),
        ((Sized(most=10), Operator.NOT), [], 500),
        ((Arrived(since=0),), ["search: arrived range"], 500),
        ((InField("subject", "hello"),), ["search: field near"], 500),
        ((InText("body"),), ["search: text range"], 500),
        (
            (InField("subject", "hello"), InBody("nowhere"), Operator.AND),
            ["search: field near", "search: body range"],
            0,
        ),
        ((InField("subject", "nowhere"), InBody("body"), Operator.AND), ["search: field near"], 0),
        ((Flagged("\\Seen"), InBody("body"), Operator.AND), [], 0),
    ]:
        before = asked(store)
        assert len(await find(store, mailbox, *query)) == found
        assert asked(store) - before == Counter(cheap + texts), query


async def test_many_messages_are_looked_at_in_two_statements(store: PostgresStore) -> None:
    """Which answer what one would, also where the one half is not kept yet."""
    mailbox = await inbox(store)
    await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(2100)))
    uids = list(range(1, 2101))
    for _ in range(10):
        await store.indexer.keep_some(mailbox.account_id)
    assert (await kept(store))[0] == 1000
    assert await find(store, mailbox, InField("subject", "hello")) == uids
    assert await find(store, mailbox, InField("subject", "nowhere")) == []
    await store.indexer.catch_up(mailbox.account_id)
    before = asked(store)
    assert await find(store, mailbox, InField("subject", "hello")) == uids
    assert (asked(store) - before)["search: field near"] == 2


async def test_texts_follow_deliveries_and_go_with_their_messages(database_url: str) -> None:
    settings = StoreSettings(sweep=SweepSettings(dead_seconds=0), index_seconds=0.01)
    async with open_store(database_url, settings=settings) as store:
        await store.accounts.add_domain("storage.test")
        mailbox = await inbox(store)
        await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(30)))
        async with asyncio.timeout(20):
            while await kept(store) != (30, 30):  # noqa: ASYNC110 - the indexer is what is waited for
                await asyncio.sleep(0.01)
        await store.messages.copy(mailbox, ((1, 1),), "INBOX")
        await store.messages.expunge(mailbox, ((1, 10),), even_undeleted=True)
        await store.sweeper.sweep()
        assert await kept(store) == (21, 21)  # the first body has a copy
        assert await find(store, mailbox, Everything()) == list(range(11, 32))
        assert await find(store, mailbox, InBody("body")) == list(range(11, 32))


async def test_a_search_that_met_texts_that_are_not_kept_has_them_kept(database_url: str) -> None:
    """As after a copy of storage has died before it came to that."""
    async with open_store(database_url, settings=StoreSettings(index_seconds=3600)) as store:
        await store.accounts.add_domain("storage.test")
        mailbox = await inbox(store)
        await store.deliveries.deliver(letter(mailbox))
    async with open_store(database_url, settings=StoreSettings(index_seconds=0.01)) as store:
        assert await kept(store) == (0, 0)
        assert await find(store, mailbox, InBody("body")) == [1]
        async with asyncio.timeout(20):
            while await kept(store) != (1, 1):  # noqa: ASYNC110 - the indexer is what is waited for
                await asyncio.sleep(0.01)
        assert await find(store, mailbox, InBody("body")) == [1]


async def test_only_letters_have_the_texts_wait(store: PostgresStore) -> None:
    """A process that tells of itself every few seconds, or a flag that is set, is no reason to keep none."""
    mailbox = await inbox(store)
    await store.sessions.beat(Process(uuid4(), "imap", "here"), (), ())
    assert store.gatherer.letters_at() == -math.inf
    await store.deliveries.deliver(letter(mailbox))
    came = store.gatherer.letters_at()
    await store.messages.store(mailbox, ((1, 1),), FlagChange.ADD, ["\\Seen"])
    assert came > 0
    assert store.gatherer.letters_at() == came


async def test_an_account_has_a_turn_and_goes_on_behind_others(store: PostgresStore) -> None:
    """Nobody waits for the end of somebody else's work."""
    boxes = [await inbox(store), await inbox(store)]
    for box in boxes:
        await asyncio.gather(*(store.deliveries.deliver(letter(box)) for _ in range(150)))
    for box in boxes:
        assert await store.indexer.keep_some(box.account_id)
    assert await kept(store) == (200, 200)
    for box in boxes:
        assert await store.indexer.keep_some(box.account_id)
        assert not await store.indexer.keep_some(box.account_id)
    assert await kept(store) == (300, 300)
