"""The implementations that the contract is run against.

The rule: a test takes `subject` and cannot find out which one it is.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from services.mail.store import Store
from services.storage.store import PostgresStore, StoreSettings, open_store
from tests import postgres
from tests.contract.subject import MAX_MESSAGE_OCTETS, Subject
from tests.fakes.memory import MemoryStore
from tests.unit.rpc.ends import site_of

# Texts are prepared only when a test says so.
SETTINGS = StoreSettings(message_octets=MAX_MESSAGE_OCTETS, index_seconds=3600, apop_key=bytes(32))


class Clock:
    """A clock that is moved by hand on top of the real one."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@asynccontextmanager
async def in_memory() -> AsyncIterator[Subject]:
    """The oracle."""
    clock = Clock()
    store = MemoryStore(clock, MAX_MESSAGE_OCTETS)

    async def trim(account_id: int) -> None:
        store.state.trim(account_id)

    async def advance(seconds: float) -> None:
        clock.ahead += seconds

    async def prepare(_: int) -> None:
        return

    yield Subject(store, trim, advance, prepare)


def over_postgres(store: Store, url: str, truth: PostgresStore) -> Subject:
    """A subject whose log and leases lie in this database."""

    async def execute(statement: str, *values: object) -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(statement.encode(), values)

    async def trim(account_id: int) -> None:
        await execute("UPDATE account_state SET log_floor = modseq WHERE account_id = %s", account_id)
        await execute("DELETE FROM changes WHERE account_id = %s", account_id)

    async def advance(seconds: float) -> None:
        for table in ("pop3_locks", "processes"):
            await execute(
                f"UPDATE {table} SET lease_until = lease_until - make_interval(secs => %s)", seconds
            )

    return Subject(store, trim, advance, truth.indexer.catch_up)


@asynccontextmanager
async def on_postgres(url: str) -> AsyncIterator[Subject]:
    """The truth."""
    async with open_store(url, settings=SETTINGS) as store:
        yield over_postgres(store, url, store)


@asynccontextmanager
async def over_the_network(url: str, folder: Path) -> AsyncIterator[Subject]:
    """The truth behind a server, as a door's client sees it."""
    async with open_store(url, settings=SETTINGS) as served, site_of(served, folder) as site:
        await site.add()
        async with site.client() as store:
            yield over_postgres(store, url, served)


@pytest.fixture(scope="package")
def contract_database_url(postgres_server: postgres.Server) -> Iterator[str]:
    """One database for all of these tests: each makes accounts of its own."""
    with postgres_server.database() as url:
        yield url


def opened(kind: str, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Subject]:
    """An implementation by its name."""
    if kind == "memory":
        return in_memory()
    url: str = request.getfixturevalue("contract_database_url")
    return (
        on_postgres(url) if kind == "postgres" else over_the_network(url, request.getfixturevalue("tmp_path"))
    )


@pytest.fixture(params=["memory", "postgres", "remote"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A store with nothing in it that this test would see."""
    async with opened(request.param, request) as found:
        yield found
