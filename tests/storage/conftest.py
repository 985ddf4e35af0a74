"""A store on a fresh database, and letters for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from services.mail.store.accounts import Quota
from services.mail.store.deliveries import Addressee, Letter, Mode
from services.mail.store.mailboxes import MailboxKey
from services.storage.store import PostgresStore, StoreSettings, open_store
from services.storage.verify.recount import drifts

UNBOUNDED = Quota()
OCTETS = b"From: a@storage.test\r\nSubject: hello\r\n\r\nbody\r\n"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[PostgresStore]:
    """A store whose counters are checked at the end."""
    async with open_store(database_url, settings=StoreSettings()) as opened:
        await opened.accounts.add_domain("storage.test")
        yield opened
        assert [drift async for drift in drifts(opened.database)] == []


async def inbox(store: PostgresStore, quota: Quota = UNBOUNDED) -> MailboxKey:
    """The INBOX of a fresh account."""
    account = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"secret", quota)
    return (await store.mailboxes.status(account.account_id, "INBOX"))[0].key


def letter(
    *mailboxes: MailboxKey, octets: bytes = OCTETS, request_id: UUID | None = None, mode: Mode = Mode.ALL
) -> Letter:
    """A letter to these."""
    return Letter(request_id or uuid4(), [Addressee(each) for each in mailboxes], octets, len(octets), mode)


@asynccontextmanager
async def held(database_url: str, *accounts: int) -> AsyncIterator[None]:
    """Somebody else holds these accounts' locks meanwhile."""
    async with (
        await psycopg.AsyncConnection.connect(database_url) as connection,
        connection.transaction(force_rollback=True),
    ):
        await connection.execute(
            "SELECT 1 FROM account_state WHERE account_id = ANY(%s) ORDER BY account_id FOR UPDATE",
            (list(accounts),),
        )
        yield
