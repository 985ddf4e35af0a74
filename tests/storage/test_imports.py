"""Imports on PostgreSQL: what happens when whoever imports goes away."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg

from services.mail.store.imports import Incoming
from services.mail.store.uids import LAST_UID
from services.storage.store import PostgresStore

LARGE = b"Subject: large\r\n\r\n" + b"x" * 600_000


WAITS = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def one(octets: bytes) -> AsyncIterator[Incoming]:
    """A letter."""
    yield Incoming(uuid4(), octets, len(octets))


async def test_a_message_whose_sender_went_away_while_it_was_stored_is_whole(
    store: PostgresStore, database_url: str
) -> None:
    """Its transaction cannot be taken back, so nothing of it may be removed."""
    await store.accounts.add_domain("imports.test")
    account = await store.accounts.add_account("gone@imports.test", b"secret")
    inbox = (await store.mailboxes.status(account.account_id, "INBOX"))[0].key
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        await other.execute(
            "SELECT FROM account_state WHERE account_id = %s FOR UPDATE", (account.account_id,)
        )
        adding = asyncio.create_task(store.imports.add(inbox, one(LARGE)))
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watching:
            while not (await watching.execute(WAITS)).rowcount:
                pass
        adding.cancel()
        await asyncio.wait([adding])
    # Whoever comes now is behind it.
    assert (await store.messages.append(inbox, b"x", 1)).uid == 2
    assert b"".join([chunk async for chunk in store.messages.read(inbox, 1, 0, LAST_UID)]) == LARGE
