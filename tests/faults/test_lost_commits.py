"""A commit that nobody heard of: the letter is asked after by its request id, however long the database is away."""

import asyncio

import psycopg
import pytest

from services.mail.errors import StoreUnavailable
from services.storage.store import StoreSettings, open_store
from services.storage.transaction import PoolSettings
from tests.faults.proxy import cable_to
from tests.faults.stores import DOMAIN, add_inbox, letter_to, until

# A pool that gives up at once.
HASTY = StoreSettings(pool=PoolSettings(wait_seconds=0.2))
LETTERS = 5


async def messages(database_url: str) -> int:
    """How many there are, by a way of its own."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        row = await (await connection.execute("SELECT count(*) FROM messages")).fetchone()
    assert row is not None
    return int(row[0])


async def test_letters_whose_commit_was_not_heard_of_are_there_once(database_url: str) -> None:
    """Refused now, they would be sent again with another request id, and be there twice. RFC 1047."""

    async def is_stored() -> bool:
        return await messages(database_url) == 4 + LETTERS

    async with cable_to(database_url) as (cable, url), open_store(url, database_url, HASTY) as store:
        await store.accounts.add_domain(DOMAIN)
        inbox = await add_inbox(store)
        # Every connection has prepared what it needs: an answer that is lost is that of the commit.
        for _ in range(4):
            await store.deliveries.deliver(letter_to(inbox))
        cable.swallow()
        sent = [asyncio.create_task(store.deliveries.deliver(letter_to(inbox))) for _ in range(LETTERS)]
        await until(is_stored)
        cable.cut()
        # Whoever comes now is refused: nothing of theirs can have been stored.
        with pytest.raises(StoreUnavailable):
            await store.accounts.usage(inbox.account_id)
        cable.mend()
        outcomes = await asyncio.gather(*sent)
        assert all(each.is_repeated for each in outcomes)
        assert await messages(database_url) == 4 + LETTERS
