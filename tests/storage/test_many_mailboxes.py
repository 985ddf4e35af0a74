"""An account with about as many mailboxes as it may have: nothing but a listing of all of them costs more for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from services.mail.errors import LimitExceeded
from services.storage.mailboxes import store as mailboxes_store
from services.storage.store import PostgresStore
from tests.storage.conftest import inbox

LEVELS = 50
TREES = 199


async def forest(store: PostgresStore) -> int:
    """An account with 9,956 mailboxes."""
    account_id = (await inbox(store)).account_id
    for number in range(TREES):
        await store.mailboxes.create(account_id, "/".join([f"t{number:03}", *map(str, range(LEVELS - 1))]))
    return account_id


async def quickest(act: Callable[[int], Awaitable[object]]) -> float:
    """Seconds of the quickest of some."""
    found = []
    for number in range(9):
        began = time.perf_counter()
        await act(number)
        found.append(time.perf_counter() - began)
    return min(found)


async def test_a_change_in_a_large_account_costs_what_it_costs_in_a_small_one(store: PostgresStore) -> None:
    """CREATE, RENAME, SUBSCRIBE and DELETE; also where statements were planned while there was nothing."""
    small = (await inbox(store)).account_id
    for number in range(3):
        await store.mailboxes.create(small, f"t{number:03}")
    large = await forest(store)

    def created(account_id: int) -> Callable[[int], Awaitable[object]]:
        return lambda number: store.mailboxes.create(account_id, f"t000/new{number}/deep")

    def renamed(account_id: int) -> Callable[[int], Awaitable[object]]:
        return lambda number: store.mailboxes.rename(account_id, f"t000/new{number}", f"elsewhere/{number}")

    def deleted(account_id: int) -> Callable[[int], Awaitable[object]]:
        return lambda number: store.mailboxes.delete(account_id, f"elsewhere/{number}/deep")

    def listed(account_id: int) -> Callable[[int], Awaitable[object]]:
        return lambda number: store.mailboxes.list(account_id, f"elsewhere/{number}", with_statuses=True)

    for act in (created, renamed, deleted, listed):
        spent = [await quickest(act(account_id)) for account_id in (small, large)]
        assert spent[1] < 6 * spent[0] + 0.001, act.__name__


async def test_what_a_large_account_costs_is_counted(store: PostgresStore) -> None:
    """All mailboxes with their counters and the subscriptions: one statement; a change: one transaction."""
    account_id = await forest(store)
    counts = store.counts
    before = counts.statements, counts.transactions
    listing = await store.mailboxes.list(account_id, with_statuses=True)
    assert len(listing.mailboxes) == len(listing.statuses) == TREES * LEVELS + 6
    assert (counts.statements - before[0], counts.transactions - before[1]) == (1, 0)
    for change, statements in (
        (store.mailboxes.create(account_id, "a/b/c"), 5),
        (store.mailboxes.rename(account_id, "t007", "d"), 4),
        (store.mailboxes.delete(account_id, "a/b/c"), 4),
    ):
        before = counts.statements, counts.transactions
        await change
        assert (counts.statements - before[0], counts.transactions - before[1]) == (statements, 1)


async def test_a_listing_is_one_moment(store: PostgresStore) -> None:
    """However mailboxes are renamed and subscribed meanwhile: each has one name, and what is subscribed is there."""
    account_id = (await inbox(store)).account_id
    await store.mailboxes.create(account_id, "x/y")

    async def change() -> None:
        for _ in range(40):
            await store.mailboxes.rename(account_id, "x", "a")
            await store.mailboxes.create(account_id, "m")
            await store.mailboxes.subscribe(account_id, "m", True)
            await store.mailboxes.subscribe(account_id, "m", False)
            await store.mailboxes.delete(account_id, "m")
            await store.mailboxes.rename(account_id, "a", "x")

    changing = asyncio.create_task(change())
    seen = set()
    while not changing.done():
        listing = await store.mailboxes.list(account_id)
        names = {mailbox.name for mailbox in listing.mailboxes}
        seen.add(frozenset(names & {"a", "a/y", "x", "x/y"}))
        assert set(listing.subscribed) <= names
    await changing
    assert seen == {frozenset({"a", "a/y"}), frozenset({"x", "x/y"})}


async def test_an_account_has_so_many_mailboxes(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LimitExceeded, by what there is and not by what there was."""
    monkeypatch.setattr(mailboxes_store, "MAX_MAILBOXES", 10)
    account_id = (await inbox(store)).account_id
    create, rename = store.mailboxes.create, store.mailboxes.rename
    await create(account_id, "a/b/c")
    with pytest.raises(LimitExceeded):
        await create(account_id, "d/e")
    await create(account_id, "d")
    with pytest.raises(LimitExceeded):
        await create(account_id, "e")
    with pytest.raises(LimitExceeded):
        await rename(account_id, "d", "f/d")
    with pytest.raises(LimitExceeded):
        await rename(account_id, "INBOX", "old")
    await rename(account_id, "d", "a/d")
    for _ in range(3):
        await store.mailboxes.delete(account_id, "a/d")
        await create(account_id, "a/d")
    with pytest.raises(LimitExceeded):
        await create(account_id, "g")
    assert len((await store.mailboxes.list(account_id)).mailboxes) == 10


async def test_an_account_subscribes_to_so_many_names(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LimitExceeded; what is subscribed already is, and what is given up makes room."""
    monkeypatch.setattr(mailboxes_store, "MAX_SUBSCRIPTIONS", 7)
    account_id = (await inbox(store)).account_id
    subscribe = store.mailboxes.subscribe
    await subscribe(account_id, "a", True)
    with pytest.raises(LimitExceeded):
        await subscribe(account_id, "b", True)
    await subscribe(account_id, "a", True)
    await subscribe(account_id, "a", False)
    await subscribe(account_id, "b", True)
    assert "b" in (await store.mailboxes.list(account_id)).subscribed
