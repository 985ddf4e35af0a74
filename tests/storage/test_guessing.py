"""A burst of guesses meets the delays that its own failures make."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from services.mail.errors import BadCredentials, TooManyAttempts
from services.storage.accounts import passwords
from services.storage.accounts import store as accounts
from services.storage.accounts.passwords import Passwords
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


async def test_guesses_at_two_copies_wait_for_each_other(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a copy tries a password of a login that has failed, no other looks at one; the right one comes in after."""
    monkeypatch.setattr(accounts, "TURN_SECONDS", 0.001)
    trying, go_on = asyncio.Event(), asyncio.Event()
    looked_at: list[bytes] = []
    is_right: Callable[..., Coroutine[Any, Any, bool]] = Passwords.is_right

    async def held(self: Passwords, password: bytes, *known: Any) -> bool:
        looked_at.append(password)
        if password == b"slow":
            trying.set()
            await go_on.wait()
        return await is_right(self, password, *known)

    async with open_store(database_url) as one, open_store(database_url) as other:
        await one.accounts.add_domain("example.org")
        await one.accounts.add_account("someone@example.org", b"right")
        with pytest.raises(BadCredentials):
            await one.accounts.authenticate("someone@example.org", b"first", "")
        monkeypatch.setattr(Passwords, "is_right", held)
        guessing = asyncio.create_task(one.accounts.authenticate("someone@example.org", b"slow", ""))
        await trying.wait()
        with pytest.raises(TooManyAttempts):
            await other.accounts.authenticate("someone@example.org", b"right", "")
        assert looked_at == [b"slow"]
        go_on.set()
        with pytest.raises(BadCredentials):
            await guessing
        await other.accounts.authenticate("someone@example.org", b"right", "")
        before = dict(other.database.counts.by_name)
        await other.accounts.authenticate("someone@example.org", b"right", "")
        assert other.database.counts.by_name == {**before, "login": before["login"] + 1}


async def test_whoever_was_here_comes_in_while_too_many_others_wait(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full pool refuses what it would have to hash, and nothing else; it is no failed login."""
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        await store.accounts.add_account("someone@example.org", b"right")
        await store.accounts.authenticate("someone@example.org", b"right", "")
        monkeypatch.setattr(passwords, "MAX_WAITING", 0)
        await store.accounts.authenticate("someone@example.org", b"right", "")
        for _ in range(accounts.FREE_FAILURES + 1):
            with pytest.raises(TooManyAttempts):
                await store.accounts.authenticate("someone@example.org", b"wrong", "")
        await store.accounts.authenticate("someone@example.org", b"right", "")
