"""Migrations, the feed between copies, the sweeper, the recount, logins that fail."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import cast
from uuid import uuid4

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from services.mail.errors import BadCredentials, BehindFloor, TooManyAttempts
from services.mail.store.changes import Change, ChangeKind, Fallen
from services.mail.store.messages import Items
from services.mail.store.uids import LAST_UID
from services.storage import revision
from services.storage.store import PostgresStore, StoreSettings, open_store
from services.storage.sweep.sweeper import SweepSettings
from services.storage.tables import metadata
from services.storage.transaction import Database, Row, Statement, Values
from services.storage.verify import statements as verifying
from services.storage.verify.recount import PostgresUpkeep, drifts
from tests.storage.conftest import OCTETS, inbox, letter

AT_ONCE = StoreSettings(
    sweep=SweepSettings(
        round_seconds=3600, dead_seconds=0, request_seconds=0, log_seconds=0, upload_seconds=0
    )
)


def empty(database_url: str) -> None:
    """Takes everything out of a database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def test_several_migrate_at_once(database_url: str) -> None:
    """Each waits for the others, and finds nothing left to do."""
    empty(database_url)
    command = [
        sys.executable,
        "-c",
        "import sys; from services.storage.revision import migrate; migrate(sys.argv[1])",
    ]
    started = [subprocess.Popen([*command, database_url]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    revision.check(database_url)


def test_the_tables_are_those_that_the_program_knows(database_url: str) -> None:
    """tables.py and the migrations say the same."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database_url))
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert found == []


@pytest.mark.parametrize(
    ("version", "says"), [(None, "run restante migrate"), ("9999", "newer than this program")]
)
def test_an_unknown_schema_is_refused_in_one_line(database_url: str, version: str | None, says: str) -> None:
    """Older and newer."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM alembic_version")
        if version:
            connection.execute("INSERT INTO alembic_version VALUES (%s)", (version,))
    with pytest.raises(revision.SchemaUnknown, match=says) as refused:
        revision.check(database_url)
    assert "\n" not in str(refused.value)


async def test_a_watch_hears_of_what_another_copy_commits(store: PostgresStore, database_url: str) -> None:
    """In the order of modseqs, none left out."""
    mailbox = await inbox(store)
    watch = store.changes.watch()
    since = await watch.add(mailbox.account_id)
    async with open_store(database_url) as other:
        for _ in range(20):
            await other.deliveries.deliver(letter(mailbox))
        found: list[Change] = []
        async for change in watch:
            assert isinstance(change, Change)
            found.append(change)
            if change.uids[-1][1] == 20:
                break
    await watch.close()
    assert [change.modseq for change in found] == list(range(since + 1, since + 21))
    assert all(change.kind is ChangeKind.ADDED for change in found)


async def test_what_went_long_ago_is_swept(database_url: str) -> None:
    """Messages, bodies and chunks that nobody names, old answers, and the log, whose floor rises first."""
    async with open_store(database_url, settings=AT_ONCE) as store:
        await store.accounts.add_domain("storage.test")
        mailbox = await inbox(store)
        large = b"Subject: large\r\n\r\n" + b"x" * 600_000
        await store.messages.append(mailbox, large, len(large))
        for _ in range(130):
            await store.messages.append(mailbox, OCTETS, len(OCTETS))
        await store.mailboxes.create(mailbox.account_id, "kept")
        await store.messages.copy(mailbox, ((5, 5),), "kept")
        await store.messages.expunge(mailbox, even_undeleted=True)
        gone = [page async for page in store.messages.fetch(mailbox, ((1, 3),), Items.FLAGS)]
        assert [list(page.uids) for page in gone] == [[1, 2, 3]]
        await store.sweeper.sweep()
        await store.sweeper.sweep()
        assert [page async for page in store.messages.fetch(mailbox, ((1, LAST_UID),), Items.FLAGS)] == []
        with pytest.raises(BehindFloor):
            await store.changes.list(mailbox.account_id, 0, 10)
        watch = store.changes.watch()
        await watch.add(mailbox.account_id, 0)
        assert isinstance(await anext(aiter(watch)), Fallen)
        await watch.close()
        kept = (await store.mailboxes.status(mailbox.account_id, "kept"))[0].key
        assert [page.bodies[0] async for page in store.messages.fetch(kept, ((1, 1),), Items.BODY)] == [
            OCTETS
        ]
        await store.messages.append(mailbox, OCTETS, len(OCTETS))
        assert [drift async for drift in drifts(store.database)] == []
    with psycopg.connect(database_url) as connection:
        for table, rows in (("messages", 2), ("bodies", 2), ("body_chunks", 0), ("expunged", 0)):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table


class Interrupted:
    """A database in which something happens before a statement is read for the first time."""

    def __init__(self, database: Database, before: Statement, happens: Callable[[], Awaitable[None]]) -> None:
        self._database = database
        self._before: Statement | None = before
        self._happens = happens

    async def read(self, statement: Statement, values: Values) -> list[Row]:
        """As the database does."""
        if statement is self._before:
            self._before = None
            await self._happens()
        return await self._database.read(statement, values)

    async def drifts(self) -> list[str]:
        """What verify finds in it."""
        upkeep = PostgresUpkeep(cast("Database", self))
        return [text async for step in upkeep.verify() for text in step.drifts]


async def test_what_goes_while_it_is_verified_is_no_drift(database_url: str) -> None:
    """A large message that is swept between two of its chunks, an account that is removed between two checks."""
    async with open_store(database_url, settings=AT_ONCE) as store:
        await store.accounts.add_domain("storage.test")
        mailbox = await inbox(store)
        large = b"x" * 700_000
        await store.messages.append(mailbox, large, len(large))

        async def sweep() -> None:
            await store.messages.expunge(mailbox, even_undeleted=True)
            await store.sweeper.sweep()

        assert await Interrupted(store.database, verifying.CHUNK, sweep).drifts() == []

        async def remove() -> None:
            await store.accounts.remove_account(mailbox.account_id)

        assert await Interrupted(store.database, verifying.NAMES, remove).drifts() == []


async def test_verify_finds_what_does_not_add_up(database_url: str) -> None:
    """A counter, octets, and a message without a body."""
    async with open_store(database_url) as store:
        await store.accounts.add_domain("storage.test")
        mailbox = await inbox(store)
        for _ in range(3):
            await store.messages.append(mailbox, OCTETS, len(OCTETS))
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute("UPDATE mailbox_state SET unseen = 7")
            await connection.execute("UPDATE bodies SET content = '\\x00' WHERE body_id = 1")
            await connection.execute("DELETE FROM bodies WHERE body_id = 2")
        found = "\n".join([drift async for drift in drifts(store.database)])
    assert "unseen" in found
    assert "uid 2" in found
    assert "body 1" in found


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM mailboxes WHERE name = 'a/b'", "nothing above a/b/c"),
        ("DELETE FROM mailboxes WHERE name = 'INBOX'", "there is no INBOX"),
        ("DELETE FROM mailboxes WHERE name = 'Sent'", "mailbox 3 has no name"),
        ("DELETE FROM mailbox_state WHERE mailbox_id = 3", "mailbox 3 has no counters"),
        ("UPDATE mailbox_state SET uid_validity = 7 WHERE mailbox_id < 3", "2 mailboxes have uid_validity 7"),
        ("UPDATE account_state SET mailbox_next = 9", "mailbox 9: number"),
        (
            "UPDATE account_state SET last_uid_validity = last_uid_validity - 1",
            "mailbox 9: number, uid_validity",
        ),
    ],
)
async def test_verify_finds_names_that_do_not_add_up(database_url: str, damage: str, said: str) -> None:
    """Every superior is a mailbox, every mailbox has counters, numbers and validities are used once."""
    async with open_store(database_url) as store:
        await store.accounts.add_domain("storage.test")
        await store.mailboxes.create((await inbox(store)).account_id, "a/b/c")
        assert [drift async for drift in drifts(store.database)] == []
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute(damage.encode())
        assert said in "\n".join([drift async for drift in drifts(store.database)])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE account_state SET used_bytes = used_bytes + 1", "account: bytes, messages are kept as"),
        ("UPDATE mailbox_state SET messages = messages - 1 WHERE messages > 0", "are kept as"),
        ("UPDATE mailbox_state SET uid_next = 2 WHERE messages > 0", "uid 4 lives, uid_next is 2"),
        ("UPDATE mailbox_state SET highest_modseq = 1 WHERE messages > 0", "a message has modseq"),
        ("UPDATE account_state SET modseq = 1", "is above the account's 1"),
        ("UPDATE flag_blocks SET sizes = sizes[1:2]", "has arrays of"),
        ("UPDATE flag_blocks SET flags[2] = 1", "unseen"),
        ("UPDATE flag_blocks SET live = 0", "neither alive nor waiting to be swept"),
        ("DELETE FROM flag_blocks", "neither alive nor waiting to be swept"),
        ("DELETE FROM mailbox_state WHERE messages > 0", "live messages and no counters"),
        ("DELETE FROM messages WHERE uid = 2", "uid 2: no message"),
        ("DELETE FROM messages WHERE uid = 2", "body 2: no message has it"),
        ("DELETE FROM bodies WHERE body_id = 3", "uid 3: no body 3"),
        ("UPDATE bodies SET size = size + 1 WHERE body_id = 1", "kept as"),
        ("UPDATE bodies SET head = 'X: y' WHERE body_id = 1", "octets, kept as"),
        (
            "UPDATE bodies SET content = set_byte(content, 0, 0) WHERE body_id = 2",
            "body 2: the octets are not",
        ),
        (
            "UPDATE body_chunks SET data = set_byte(data, 9, 0) WHERE chunk_no = 1",
            "body 4: the octets are not",
        ),
        ("DELETE FROM body_chunks WHERE chunk_no = 2", "body 4: the octets are not"),
        ("UPDATE bodies SET parts = '' WHERE body_id = 2", "body 2: its parts are not those of its octets"),
        ("UPDATE bodies SET header = header + 1 WHERE body_id = 4", "body 4: its parts are not those"),
        ("UPDATE messages SET envelope = '()' WHERE uid = 3", "mailbox 1 uid 3: its envelope or structure"),
        ("UPDATE messages SET structure = '()' WHERE uid = 4", "mailbox 1 uid 4: its envelope or structure"),
        ("UPDATE account_state SET body_next = 4", "body 4 is not below the account's next, 4"),
        ("INSERT INTO body_shares VALUES (1, 1, 2)", "body 1: 1 messages, 2 shares"),
        (
            "DELETE FROM changes WHERE kind = 1 AND modseq = (SELECT min(modseq) FROM changes WHERE kind = 1)",
            "the log tells",
        ),
        ("UPDATE changes SET modseq = modseq + 1000 WHERE kind = 1", "the log has modseq 100"),
        ("INSERT INTO body_text VALUES (1, 77, '')", "text of body 77: there is no such body"),
    ],
)
async def test_verify_names_each_row_that_was_damaged(database_url: str, damage: str, said: str) -> None:
    """Counters, blocks, messages, bodies, chunks, shares, texts and the log."""
    async with open_store(database_url, settings=StoreSettings(index_seconds=3600)) as store:
        await store.accounts.add_domain("storage.test")
        mailbox = await inbox(store)
        for _ in range(3):
            await store.messages.append(mailbox, OCTETS, len(OCTETS))
        large = b"Subject: large\r\n\r\n" + b"x" * 1_000_000
        await store.messages.append(mailbox, large, len(large))
        assert [drift async for drift in drifts(store.database)] == []
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            cursor = await connection.execute(damage.encode())
            assert cursor.rowcount
        assert said in "\n".join([drift async for drift in drifts(store.database)])


async def test_failed_logins_are_slowed_and_forgiven(store: PostgresStore, database_url: str) -> None:
    """Three failures are free; then a wait, which a right password does not shorten. attacks.md, "Login"."""
    address = f"{uuid4().hex}@storage.test"
    await store.accounts.add_account(address, b"right")
    for each in range(4):
        with pytest.raises(BadCredentials):
            await store.accounts.authenticate(address, b"wrong %d" % each, "127.0.0.1")
    with pytest.raises(TooManyAttempts):
        await store.accounts.authenticate(address, b"right", "127.0.0.1")
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("UPDATE login_failures SET last_at = last_at - interval '3 seconds'")
    await store.accounts.authenticate(address, b"right", "127.0.0.1")
    for each in range(3):
        with pytest.raises(BadCredentials):
            await store.accounts.authenticate(address, b"wrong %d" % each, "127.0.0.1")
    await asyncio.gather(*(store.accounts.authenticate(address, b"right", "127.0.0.1") for _ in range(3)))


async def test_a_new_password_ends_what_was_remembered(store: PostgresStore) -> None:
    """A success is bound to the credential's version."""
    account = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"old")
    await store.accounts.authenticate(account.address, b"old", "")
    await store.accounts.set_password(account.account_id, b"new")
    with pytest.raises(BadCredentials):
        await store.accounts.authenticate(account.address, b"old", "")
    await store.accounts.authenticate(account.address, b"new", "")
