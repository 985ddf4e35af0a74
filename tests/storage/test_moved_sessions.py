"""IMAP sessions that move from process to process by their tokens, on PostgreSQL."""

from uuid import uuid4

import pytest

from services.storage.store import PostgresStore
from tests.unit.imap.moving import compare


@pytest.mark.parametrize("seed", range(8))
async def test_whoever_is_moved_hears_what_the_others_hear(store: PostgresStore, seed: int) -> None:
    """The view is rebuilt from what lives and from the log: architecture, a session's view."""
    one = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"secret")
    two = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"secret")
    await compare(store, (one, two), seed, steps=60)
