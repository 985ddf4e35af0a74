"""What is left of an account that was removed, and what is removed while others add."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from services.mail.errors import DomainInUse, DomainUnknown, StoreUnavailable
from services.mail.store.sessions import Process, Session
from services.storage.store import PostgresStore, StoreSettings, open_store
from services.storage.sweep.sweeper import SweepSettings
from services.storage.transaction import DIRECTORY, Row, Statement, Values
from tests.contract.subject import message
from tests.storage.conftest import held, inbox, letter

AT_ONCE = StoreSettings(sweep=SweepSettings(round_seconds=3600, upload_seconds=0))


async def rows(database_url: str, account_id: int) -> dict[str, int]:
    """How many rows each table has of an account; tables without any are left out."""
    found: dict[str, int] = {}
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        tables = await connection.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'account_id'"
        )
        for (table,) in await tables.fetchall():
            counted = await connection.execute(
                f"SELECT count(*) FROM {table} WHERE account_id = %s".encode(), (account_id,)
            )
            row = await counted.fetchone()
            assert row is not None
            if row[0]:
                found[table] = row[0]
    return found


async def test_the_sweeper_leaves_nothing_of_a_removed_account(database_url: str) -> None:
    """Every table; only octets that another account shares stay."""
    async with open_store(database_url, settings=AT_ONCE) as store:
        await store.accounts.add_domain("storage.test")
        gone, kept = await inbox(store), await inbox(store)
        large = message(3 * 1024 * 1024)
        await store.deliveries.deliver(letter(gone, kept, octets=large))
        for number in range(3):
            await store.messages.append(gone, b"Subject: %d\r\n\r\nx\r\n" % number, 17, ["own-keyword"])
        await store.mailboxes.create(gone.account_id, "A/B", request_id=uuid4())
        await store.messages.copy(gone, ((2, 3),), "A", uuid4())
        await store.messages.expunge(gone, ((2, 2),), even_undeleted=True)
        await store.sessions.lock_maildrop(gone.account_id)
        await store.indexer.catch_up(gone.account_id)
        own = Process(uuid4(), "imap", "here")
        session = Session(uuid4(), gone.account_id, "imap", "192.0.2.1", 1)
        await store.sessions.beat(own, [session], [])
        held = await rows(database_url, gone.account_id)
        assert {
            "messages",
            "bodies",
            "body_shares",
            "header_text",
            "body_text",
            "changes",
            "keywords",
        } <= held.keys()
        assert {"expunged", "requests", "pop3_locks", "flag_blocks", "sessions", "addresses"} <= held.keys()
        await store.accounts.remove_account(gone.account_id)
        # A session that does not know it yet.
        await store.mailboxes.subscribe(gone.account_id, "Late", True)
        await store.sessions.lock_maildrop(gone.account_id)
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            # A password that was set while the account went: its statement saw the account still.
            await connection.execute(
                "INSERT INTO credentials (account_id, kind, version, secret) VALUES (%s, 1, 1, 'x')",
                (gone.account_id,),
            )
        await store.sweeper.sweep()
        assert (await rows(database_url, gone.account_id)).keys() == {"removed_accounts", "sessions"}
        assert await store.sessions.beat(own, [], [session.session_id]) == []
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("UPDATE removed_accounts SET at = at - interval '2 days'")
        await store.sweeper.sweep()
        assert await rows(database_url, gone.account_id) == {}
        octets = b"".join([part async for part in store.messages.read(kept, 1, 0, 2**31)])
        assert octets == large


async def test_a_removed_account_that_cannot_be_swept_keeps_no_other_from_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor from what else the sweeper does."""
    async with open_store(database_url, settings=AT_ONCE) as store:
        await store.accounts.add_domain("storage.test")
        stuck, gone = (await inbox(store)).account_id, (await inbox(store)).account_id
        for each in (stuck, gone):
            await store.accounts.remove_account(each)
        write = store.database.write

        async def fail(statement: Statement, values: Values) -> list[Row]:
            if values.get("account_id") == stuck:
                raise StoreUnavailable
            return await write(statement, values)

        monkeypatch.setattr(store.database, "write", fail)
        await store.sweeper.sweep()
        assert (await rows(database_url, gone)).keys() == {"removed_accounts"}
        assert (await rows(database_url, stuck)).keys() > {"removed_accounts"}


async def test_a_domain_never_goes_under_an_account_that_is_being_made(
    store: PostgresStore, database_url: str
) -> None:
    """Whichever comes first, the other is refused: what waits for the directory looks again once it has it."""
    for number in range(4):
        domain = f"d{number}.test"
        await store.accounts.add_domain(domain)
        async with held(database_url, DIRECTORY):
            asked = [
                asyncio.create_task(store.accounts.add_account(f"a@{domain}", b"secret")),
                asyncio.create_task(store.accounts.remove_domain(domain)),
            ]
            await wait_until_blocked(database_url, 2)
        added, removed = await asyncio.gather(*asked, return_exceptions=True)
        if removed is None:
            assert isinstance(added, DomainUnknown)
        else:
            assert isinstance(removed, DomainInUse)
            assert (await store.accounts.find_account(f"a@{domain}")) == added


async def wait_until_blocked(database_url: str, count: int) -> None:
    """Until so many transactions wait for a lock."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            row = await cursor.fetchone()
            if row is not None and row[0] >= count:
                return
