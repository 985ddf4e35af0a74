"""A site over the store in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.memory import MemoryStore
from tests.unit.rpc.ends import Site, site_of


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """No copy yet: a test adds as many as it needs."""
    async with site_of(MemoryStore(), tmp_path) as site:
        yield site
