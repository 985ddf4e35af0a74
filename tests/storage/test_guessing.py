"""A burst of guesses meets the delays that its own failures make."""

import asyncio

import pytest

from services.mail.errors import BadCredentials, TooManyAttempts
from services.storage.store import open_store

GUESSES = 40


async def test_guesses_that_come_together_are_not_all_tried(database_url: str) -> None:
    """attacks.md, "Login, everywhere": failures slow down by login."""
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        await store.accounts.add_account("someone@example.org", b"right")
        found = await asyncio.gather(
            *(
                store.accounts.authenticate("someone@example.org", b"%d" % each, "")
                for each in range(GUESSES)
            ),
            return_exceptions=True,
        )
        kinds = [type(each) for each in found]
        assert set(kinds) == {BadCredentials, TooManyAttempts}
        assert kinds.count(BadCredentials) < 10
        with pytest.raises(TooManyAttempts):
            await store.accounts.authenticate("someone@example.org", b"right", "")
