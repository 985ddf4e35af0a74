"""A burst of guesses meets the delays that its own failures make."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest

from services.mail.errors import BadCredentials, TooManyAttempts
from services.storage.credentials import logins, passwords, statements
from services.storage.credentials.passwords import Passwords
from services.storage.store import PostgresStore, open_store

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
    monkeypatch.setattr(logins, "TURN_SECONDS", 0.001)
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
        for _ in range(logins.FREE_FAILURES + 1):
            with pytest.raises(TooManyAttempts):
                await store.accounts.authenticate("someone@example.org", b"wrong", "")
        await store.accounts.authenticate("someone@example.org", b"right", "")


async def execute(url: str, statement: str) -> int:
    """On a connection of its own; how many rows it was about."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return (await connection.execute(statement.encode())).rowcount


async def refused(store: PostgresStore, login: str, password: bytes, network: str) -> type[Exception]:
    """How a login was refused."""
    with pytest.raises((BadCredentials, TooManyAttempts)) as found:
        await store.accounts.authenticate(login, password, network)
    return found.type


@pytest.mark.parametrize(
    ("network", "neighbour", "stranger"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::", "2001:db8:0:2::1"),
    ],
)
async def test_a_network_that_tries_many_logins_is_slowed_down(
    database_url: str, network: str, neighbour: str, stranger: str
) -> None:
    """attacks.md: by address too, IPv6 by /64, whichever copy is asked; others come in."""
    async with open_store(database_url) as one, open_store(database_url) as other:
        await one.accounts.add_domain("example.org")
        await one.accounts.add_account("someone@example.org", b"right")
        for each in range(logins.FREE_FAILURES_OF_NETWORK + 1):
            copy = (one, other)[each % 2]
            assert await refused(copy, f"{each}@example.org", b"wrong", network) is BadCredentials
        for copy in (one, other):
            assert await refused(copy, "someone@example.org", b"right", neighbour) is TooManyAttempts
            await copy.accounts.authenticate("someone@example.org", b"right", stranger)
            await copy.accounts.authenticate("someone@example.org", b"right", "127.0.0.1")


async def test_delays_grow(database_url: str) -> None:
    """2, 4, 8, 15 s, and no more: attacks.md. Each is known by the one before it, which is at least 2 s shorter."""
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        await refused(store, "someone@example.org", b"wrong", "192.0.2.1")
        for key, free in (("login", logins.FREE_FAILURES), ("network", logins.FREE_FAILURES_OF_NETWORK)):
            for step, seconds in enumerate((0, *logins.DELAYS, logins.DELAYS[-1])):
                shorter = max([each for each in (0, *logins.DELAYS) if each < seconds], default=0)
                mine = (
                    f"UPDATE login_failures SET failures = {free + step}, "
                    f"last_at = clock_timestamp() - interval '{shorter} seconds' WHERE key LIKE '{key} %'"
                )
                assert await execute(database_url, mine) == 1
                kind = await refused(store, "someone@example.org", b"wrong", "192.0.2.1")
                assert kind is (TooManyAttempts if seconds else BadCredentials), (key, step)
                over = mine.replace(f"'{shorter} seconds'", f"'{seconds} seconds'")
                assert await execute(database_url, over) == 1
                kind = await refused(store, "someone@example.org", b"wrong", "192.0.2.1")
                assert kind is BadCredentials, (key, step)
            await execute(database_url, "UPDATE login_failures SET failures = 1")


async def test_the_same_wrong_password_is_one_guess(database_url: str) -> None:
    """A phone with an old password locks nobody out, whichever copy it asks; another password is another guess."""
    async with open_store(database_url) as one, open_store(database_url) as other:
        await one.accounts.add_domain("example.org")
        await one.accounts.add_account("someone@example.org", b"right")
        for each in range(logins.FREE_FAILURES_OF_NETWORK + 5):
            copy = (one, other)[each % 2]
            assert await refused(copy, "someone@example.org", b"old", "192.0.2.1") is BadCredentials
        for each in range(logins.FREE_FAILURES):
            kind = await refused(one, "someone@example.org", b"guess %d" % each, "192.0.2.1")
            assert kind is BadCredentials
        assert await refused(one, "someone@example.org", b"old", "192.0.2.1") is TooManyAttempts
        assert await refused(one, "someone@example.org", b"right", "192.0.2.2") is TooManyAttempts


async def test_of_a_wrong_password_almost_nothing_is_kept(database_url: str) -> None:
    """Two octets of a keyed hash each, of sixteen at most: it may be nearly right, or right elsewhere."""
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        for each in range(20):
            await refused(store, "someone@example.org", b"%d" % each, "192.0.2.1")
            await execute(database_url, "UPDATE login_failures SET last_at = last_at - interval '16 seconds'")
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (await connection.execute("SELECT failures, recent FROM login_failures")).fetchall()
    assert [failures for failures, _ in rows] == [20, 20]
    for _, recent in rows:
        assert len(recent) in range(10, 17)
        assert {len(mark) for mark in recent} == {2}


async def test_an_unknown_login_costs_what_a_wrong_password_costs(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hash of the same parameters, and the same statements; so time tells nothing."""
    hashed: list[bytes] = []
    verify: Callable[..., bool] = Passwords._verify

    def noted(self: Passwords, secret: bytes, password: bytes) -> bool:
        hashed.append(secret.rpartition(b"$")[0].rpartition(b"$")[0])
        return verify(self, secret, password)

    monkeypatch.setattr(Passwords, "_verify", noted)
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        await store.accounts.add_account("someone@example.org", b"right")
        await refused(store, "first@example.org", b"wrong", "")
        hashed.clear()
        spent: list[dict[str, int]] = []
        for login in ("someone@example.org", "nobody@example.org", "nobody", "nobody@elsewhere.example"):
            before = Counter(store.database.counts.by_name)
            assert await refused(store, login, b"wrong", "192.0.2.1") is BadCredentials
            spent.append(dict(Counter(store.database.counts.by_name) - before))
        assert len(hashed) == len(spent)
        assert len(set(hashed)) == 1
        assert all(each == spent[0] for each in spent)


async def test_the_same_wrong_password_is_hashed_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shows it again and again takes no time from others, known or not; and once it is right it lets in."""
    tried: list[bytes] = []
    verify: Callable[..., bool] = Passwords._verify

    def noted(self: Passwords, secret: bytes, password: bytes) -> bool:
        tried.append(password)
        return verify(self, secret, password)

    monkeypatch.setattr(Passwords, "_verify", noted)
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        account = await store.accounts.add_account("someone@example.org", b"right")
        for login in ("someone@example.org", "nobody@example.org") * 5:
            assert await refused(store, login, b"old", "192.0.2.1") is BadCredentials
        assert tried == [b"old"] * 2
        await store.accounts.set_password(account.account_id, b"old")
        assert await store.accounts.authenticate("someone@example.org", b"old", "192.0.2.1") == account


async def test_the_turn_of_a_copy_that_died_ends(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds after it was taken, by the database's clock; until then this login alone is told to wait."""
    monkeypatch.setattr(logins, "TURN_SECONDS", 0.001)
    async with open_store(database_url) as store:
        await store.accounts.add_domain("example.org")
        for name in ("someone", "other"):
            await store.accounts.add_account(f"{name}@example.org", b"right")
            await refused(store, f"{name}@example.org", b"wrong", "")
        taken = (
            "UPDATE login_failures SET tried_until = clock_timestamp() + interval '10 seconds' "
            "WHERE key LIKE '%some%'"
        )
        assert await execute(database_url, taken) == 1
        assert await refused(store, "someone@example.org", b"right", "") is TooManyAttempts
        await store.accounts.authenticate("other@example.org", b"right", "")
        over = "UPDATE login_failures SET tried_until = tried_until - interval '10 seconds'"
        assert await execute(database_url, over) == 1
        await store.accounts.authenticate("someone@example.org", b"right", "")
    assert "interval '10 seconds'" in statements.TAKE_TURN.text
