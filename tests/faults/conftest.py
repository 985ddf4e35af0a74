"""A system with two copies of storage, to be broken, and two stores over one database.

The rule: nobody else's tests share them, and what a test leaves behind is recounted.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count

import pytest

from services.storage.store import PostgresStore, open_store
from services.storage.verify.recount import drifts
from tests.e2e.system import System, running
from tests.faults.cluster import PASSWORD
from tests.faults.stores import DOMAIN

_numbers = count(1)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything running, storage twice. Whatever a test kills, the supervisor starts again."""
    with running(tmp_path_factory.mktemp("cluster") / "home", UP_STORAGES="2") as started:
        assert started.run("domain", "add", "faults.test").returncode == 0
        yield started


@pytest.fixture
def account(cluster: System) -> str:
    """A fresh account's address."""
    address = f"a{next(_numbers)}@faults.test"
    added = cluster.run("account", "add", address, "--password-stdin", stdin=PASSWORD.encode())
    assert added.returncode == 0, added.stderr.decode()
    return address


@pytest.fixture
async def copies(database_url: str) -> AsyncIterator[Sequence[PostgresStore]]:
    """What two copies of storage hold: a store each, over one database."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(open_store(database_url)) for _ in range(2)]
        await opened[0].accounts.add_domain(DOMAIN)
        yield opened
        assert [drift async for drift in drifts(opened[0].database)] == []
