"""What PostgreSQL keeps of passwords, and when."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from services.mail.errors import AccountDisabled, BadCredentials, TooManyAttempts
from services.mail.sasl.keys import ITERATIONS, make_keys
from services.mail.store.accounts import NO_SCOPE, Scope
from services.storage.credentials import logins
from services.storage.credentials.passwords import Passwords
from services.storage.credentials.scram import to_secret
from services.storage.store import PostgresStore, StoreSettings, open_store
from tests.fakes.scram import prove


async def execute(url: str, statement: str) -> None:
    """On a connection of its own."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement.encode())


@pytest.mark.parametrize(
    "before",
    [
        "DELETE FROM credentials WHERE kind = 2",
        "UPDATE credentials SET secret = '\\x00001000'::bytea || substring(secret, 5) WHERE kind = 2",
    ],
    ids=["none", "other iterations"],
)
async def test_an_account_from_before_gets_keys_when_its_password_is_given(
    store: PostgresStore, database_url: str, before: str
) -> None:
    """Once; the next login writes nothing."""
    address = f"{uuid4().hex}@storage.test"
    await store.accounts.add_account(address, b"secret")
    await execute(database_url, before)
    await store.accounts.authenticate(address, b"secret", "")
    await prove(store, address, b"secret")
    counts = dict(store.database.counts.by_name)
    await store.accounts.authenticate(address, b"secret", "")
    assert store.database.counts.by_name == {**counts, "login": counts["login"] + 1}


async def test_keys_of_a_password_that_was_replaced_meanwhile_are_not_kept(
    store: PostgresStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the old one would still let in, by its proof."""
    account = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"old")
    await execute(database_url, "DELETE FROM credentials WHERE kind = 2")
    make = Passwords.make_keys

    async def slow(self: Passwords, password: bytes, salt: bytes) -> object:
        keys = await make(self, password, salt)
        if password == b"old":
            await store.accounts.set_password(account.account_id, b"new")
        return keys

    monkeypatch.setattr(Passwords, "make_keys", slow)
    await store.accounts.authenticate(account.address, b"old", "")
    with pytest.raises(BadCredentials):
        await prove(store, account.address, b"old")
    await prove(store, account.address, b"new")


async def test_wrong_proofs_are_slowed_down_like_wrong_passwords(store: PostgresStore) -> None:
    """attacks.md, "Login, everywhere": whichever way it is guessed."""
    address = f"{uuid4().hex}@storage.test"
    await store.accounts.add_account(address, b"right")
    for _ in range(logins.FREE_FAILURES + 1):
        with pytest.raises(BadCredentials):
            await prove(store, address, b"wrong")
    with pytest.raises(TooManyAttempts):
        await prove(store, address, b"right")
    with pytest.raises(TooManyAttempts):
        await store.accounts.authenticate(address, b"right", "")


async def test_all_copies_give_the_same_salt(database_url: str) -> None:
    """And after a restart too: it is made with the database's key."""
    salts = set()
    for _ in range(2):
        async with open_store(database_url) as one, open_store(database_url) as other:
            for store in (one, other):
                salts |= {(await store.credentials.find_salt(f"{name}@storage.test")).salt for name in "ab"}
    assert len(salts) == 2


def test_keys_are_kept_with_their_iterations() -> None:
    """Four octets of them, and two keys of 32."""
    assert to_secret(make_keys(b"x", b"salt"))[:4] == ITERATIONS.to_bytes(4)
    assert len(to_secret(make_keys(b"x", b"salt"))) == 68


async def test_the_last_use_of_an_app_password_is_noted(store: PostgresStore, database_url: str) -> None:
    """Ten minutes apart at least, so that logins write nothing."""
    account = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"secret")
    made = await store.credentials.add_app_password(account.account_id, "phone", Scope.IMAP)
    assert made.entry.used_at == 0

    async def used_at() -> int:
        await store.accounts.authenticate(account.address, made.password.encode(), "", Scope.IMAP)
        return (await store.credentials.list_app_passwords(account.account_id))[0].used_at

    first = await used_at()
    assert first >= made.entry.created_at
    writes = store.database.counts.by_name["use app password"]
    assert await used_at() == first
    assert store.database.counts.by_name["use app password"] == writes
    await execute(database_url, "UPDATE app_passwords SET used_at = used_at - interval '11 minutes'")
    assert await used_at() >= first


async def test_app_passwords_made_at_once_have_numbers_of_their_own(store: PostgresStore) -> None:
    """None is lost, whoever comes first."""
    account = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"secret")
    made = await asyncio.gather(
        *(store.credentials.add_app_password(account.account_id, f"{each}", Scope.IMAP) for each in range(4))
    )
    assert sorted(each.entry.number for each in made) == [1, 2, 3, 4]


async def test_no_app_password_lies_readable_in_the_database(store: PostgresStore, database_url: str) -> None:
    """It is shown once."""
    account = await store.accounts.add_account(f"{uuid4().hex}@storage.test", b"secret")
    made = await store.credentials.add_app_password(account.account_id, "phone", Scope.IMAP)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (await connection.execute("SELECT * FROM app_passwords")).fetchall()
    assert rows
    assert made.password not in repr(rows)
    assert made.password not in repr(made)


async def test_a_master_acts_for_whoever_is_there(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own password alone, and each time is logged; nobody else is a master. RFC 4616 §2."""
    settings = StoreSettings(masters=["Master@storage.test"])
    async with open_store(database_url, settings=settings) as store:
        await store.accounts.add_domain("storage.test")
        names = ("master", "user", "other")
        master, user, other = [
            await store.accounts.add_account(f"{each}@storage.test", each.encode()) for each in names
        ]
        login = store.accounts.authenticate
        app = await store.credentials.add_app_password(master.account_id, "phone", Scope.IMAP)
        capsys.readouterr()
        assert await login(master.address, b"master", "192.0.2.1", Scope.IMAP, user.address) == user
        assert (await prove(store, master.address, b"master", NO_SCOPE, user.address))[1].account == user
        assert capsys.readouterr().out.count("master login") == 2
        assert await login(master.address, b"master", "", Scope.IMAP) == master
        for who, password, whom in (
            (other, b"other", user),
            (other, b"other", master),
            (master, b"user", user),
            (master, app.password.encode(), user),
        ):
            with pytest.raises(BadCredentials):
                await login(who.address, password, "", Scope.IMAP, whom.address)
        for nobody in ("nobody@storage.test", "nobody"):
            with pytest.raises(BadCredentials):
                await login(master.address, b"master", "", Scope.IMAP, nobody)
        await store.accounts.set_enabled(user.account_id, False)
        with pytest.raises(AccountDisabled):
            await login(master.address, b"master", "", Scope.IMAP, user.address)
        await store.accounts.set_enabled(master.account_id, False)
        with pytest.raises(AccountDisabled):
            await login(master.address, b"master", "", Scope.IMAP, other.address)
