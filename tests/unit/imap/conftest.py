"""A store in memory for whoever asks."""

import pytest

from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues


@pytest.fixture
async def store() -> MemoryStore:
    """A store where alice has no mail."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice"])
    return store
