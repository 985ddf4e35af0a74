"""How many statements each thing costs; a count tells the speed beforehand."""

import asyncio

from services.mail.store.messages import FlagChange, Items
from services.mail.store.uids import LAST_UID
from services.storage.store import PostgresStore
from tests.storage.conftest import OCTETS, held, inbox, letter
from tests.storage.counted import asked


async def test_a_letter_alone_costs_one_statement(store: PostgresStore) -> None:
    """One round trip, committed."""
    mailbox = await inbox(store)
    before = asked(store)
    await store.deliveries.deliver(letter(mailbox))
    assert asked(store) - before == {"deliver": 1}


async def test_fifty_letters_that_wait_cost_one_transaction(store: PostgresStore, database_url: str) -> None:
    """Those of one account that queued while the first was waited for; 0.2 statements a letter."""
    mailbox = await inbox(store)
    async with held(database_url, mailbox.account_id):
        before = asked(store)
        tasks = [asyncio.create_task(store.deliveries.deliver(letter(mailbox))) for _ in range(50)]
        while store.gatherer.waiting < 50:  # noqa: ASYNC110 - the database is what is waited for
            await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    # Passed over; then BEGIN, lock, statement and COMMIT of one transaction, or two.
    assert (asked(store) - before).total() <= 10


async def test_a_listing_of_a_thousand_costs_three_statements(store: PostgresStore) -> None:
    """The mailbox, its blocks, its rows; and bodies no more for each page of a megabyte."""
    mailbox = await inbox(store)
    await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(1000)))
    for items, most in (
        (Items.FLAGS | Items.SIZE, 2),
        (Items.FLAGS | Items.SIZE | Items.INTERNALDATE | Items.ENVELOPE | Items.STRUCTURE, 4),
        (Items.BODY, 4),
    ):
        before = asked(store)
        pages = [page async for page in store.messages.fetch(mailbox, ((1, LAST_UID),), items)]
        assert sum(len(page.uids) for page in pages) == 1000
        assert (asked(store) - before).total() <= most


async def test_a_change_costs_one_transaction(store: PostgresStore) -> None:
    """STORE, COPY and EXPUNGE: BEGIN, the lock, the statement, COMMIT; STORE reads the keywords, too."""
    mailbox = await inbox(store)
    await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(200)))
    await store.mailboxes.create(mailbox.account_id, "target")
    before = asked(store)
    await store.messages.store(mailbox, ((1, 200),), FlagChange.ADD, ["\\Deleted"])
    await store.messages.copy(mailbox, ((1, 200),), "target")
    await store.messages.expunge(mailbox)
    spent = asked(store) - before
    assert (spent["commit"], spent.total()) == (3, 13)


async def test_a_large_body_is_shared_by_its_recipients(store: PostgresStore) -> None:
    """Its chunks are written once, before any lock."""
    boxes = [await inbox(store) for _ in range(3)]
    octets = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 65_536
    before = store.counts.by_name.get("write chunk", 0)
    await store.deliveries.deliver(letter(*boxes, octets=octets))
    assert store.counts.by_name["write chunk"] - before == 5
    for mailbox in boxes:
        found = b"".join([chunk async for chunk in store.messages.read(mailbox, 1, 0, len(octets))])
        assert found == octets
    assert len(OCTETS) < len(octets)
