"""Stores over one database, as copies of storage have them, and a hand on their locks.

The rule: whatever is made to wait here waits for PostgreSQL, as it would for another copy.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import psycopg

from services.mail.store.accounts import Quota
from services.mail.store.deliveries import Addressee, Letter
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Body
from services.storage.store import PostgresStore

DOMAIN = "stores.test"
PASSWORD = "secret"
OCTETS = b"From: a@stores.test\r\nSubject: hello\r\n\r\nbody\r\n"
UNBOUNDED = Quota()

# Whether so many transactions wait for a lock.
Waiters = Callable[[int], Awaitable[bool]]


async def add_inbox(store: PostgresStore, quota: Quota = UNBOUNDED) -> MailboxKey:
    """The INBOX of a fresh account."""
    account = await store.accounts.add_account(f"{uuid4().hex}@{DOMAIN}", PASSWORD.encode(), quota)
    return (await store.mailboxes.status(account.account_id, "INBOX"))[0].key


def letter_to(*mailboxes: MailboxKey, octets: Body = OCTETS) -> Letter:
    """A letter with a request id of its own."""
    return Letter(uuid4(), [Addressee(each) for each in mailboxes], octets)


@asynccontextmanager
async def held(database_url: str, account_id: int) -> AsyncIterator[Waiters]:
    """Somebody else holds this account's lock meanwhile; answers whether so many wait in this database."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection, connection.transaction():

        async def waiters(count: int) -> bool:
            query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            row = await (await connection.execute(query)).fetchone()
            return row is not None and row[0] >= count

        await connection.execute(
            "SELECT 1 FROM account_state WHERE account_id = %s FOR UPDATE", (account_id,)
        )
        yield waiters


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what only a question can find out."""
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110 - the database is what is waited for
            await asyncio.sleep(0.005)
