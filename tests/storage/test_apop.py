"""APOP in storage: what is kept, and that guesses are slowed down like those of passwords. RFC 1939 §7."""

import asyncio
import hashlib
from pathlib import Path

import psycopg
import pytest

from services.mail.errors import BadCredentials, NotPermitted, TooManyAttempts
from services.plumbing.failures import CannotStart
from services.storage.credentials.apop import Apop, read_key
from services.storage.store import PostgresStore, StoreSettings, open_store

TIMESTAMP = b"<1896.697170952@dbc.mtview.ca.us>"
DIGEST = hashlib.md5(TIMESTAMP + b"tanstaaf").digest()
GUESSES = 40


async def account_in(store: PostgresStore) -> int:
    """someone@example.org, with a secret."""
    await store.accounts.add_domain("example.org")
    account = await store.accounts.add_account("someone@example.org", b"right")
    await store.accounts.set_apop_secret(account.account_id, b"tanstaaf")
    return account.account_id


async def log_in(store: PostgresStore, digest: bytes = DIGEST) -> None:
    await store.accounts.authenticate_apop("someone@example.org", TIMESTAMP, digest, "")


async def test_the_secret_is_kept_sealed(database_url: str) -> None:
    """Whoever has the database alone cannot read it, nor move it to an account of their own."""
    async with open_store(database_url, settings=StoreSettings(apop_key=bytes(32))) as store:
        account_id = await account_in(store)
        await log_in(store)
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(
            "SELECT kind, secret FROM credentials WHERE account_id = %s", (account_id,)
        )
        kept: dict[int, bytes] = dict(await cursor.fetchall())
    assert set(kept) == {1, 2, 3}
    assert b"tanstaaf" not in b"".join(kept.values())
    apop = Apop(bytes(32))
    assert apop.is_right(TIMESTAMP, DIGEST, account_id, kept[3])
    assert not apop.is_right(TIMESTAMP, DIGEST, account_id + 1, kept[3])


async def test_a_secret_sealed_with_another_key_lets_nobody_in(database_url: str) -> None:
    """It is refused like a wrong digest, and a new one can be set."""
    async with open_store(database_url, settings=StoreSettings(apop_key=bytes(32))) as store:
        account_id = await account_in(store)
    async with open_store(database_url, settings=StoreSettings(apop_key=b"k" * 32)) as store:
        with pytest.raises(BadCredentials):
            await log_in(store)
        await store.accounts.set_apop_secret(account_id, b"tanstaaf")
        await log_in(store)


async def test_where_apop_is_off_nobody_gets_a_secret_or_comes_in(database_url: str) -> None:
    """Off by default; a secret from before can still be removed."""
    async with open_store(database_url, settings=StoreSettings(apop_key=bytes(32))) as store:
        account_id = await account_in(store)
    async with open_store(database_url) as store:
        with pytest.raises(NotPermitted, match="RESTANTE_APOP"):
            await store.accounts.set_apop_secret(account_id, b"tanstaaf")
        with pytest.raises(BadCredentials):
            await log_in(store)
        await store.accounts.set_apop_secret(account_id, None)
    async with open_store(database_url, settings=StoreSettings(apop_key=bytes(32))) as store:
        with pytest.raises(BadCredentials):
            await log_in(store)


async def test_guesses_at_a_digest_are_slowed_down_with_those_at_the_password(database_url: str) -> None:
    """attacks.md, "Login, everywhere": failures slow down by login, however it is tried."""
    async with open_store(database_url, settings=StoreSettings(apop_key=bytes(32))) as store:
        await account_in(store)
        found = await asyncio.gather(
            *(log_in(store, b"%016d" % each) for each in range(GUESSES)), return_exceptions=True
        )
        kinds = [type(each) for each in found]
        assert set(kinds) == {BadCredentials, TooManyAttempts}
        assert kinds.count(BadCredentials) < 10
        with pytest.raises(TooManyAttempts):
            await log_in(store)
        with pytest.raises(TooManyAttempts):
            await store.accounts.authenticate("someone@example.org", b"right", "")


async def test_an_unknown_login_asks_and_computes_what_a_known_one_does(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """attacks.md: an unknown user costs the same; counted in statements and digests."""
    digests: list[bytes] = []
    real_md5 = hashlib.md5

    def md5(octets: bytes, *, usedforsecurity: bool) -> object:
        digests.append(octets)
        return real_md5(octets, usedforsecurity=usedforsecurity)

    async with open_store(database_url, settings=StoreSettings(apop_key=bytes(32))) as store:
        await account_in(store)
        await store.accounts.add_account("without@example.org", b"right")
        monkeypatch.setattr(hashlib, "md5", md5)
        costs = []
        for login in ("someone", "without", "nobody"):
            before = store.database.counts.statements, len(digests)
            with pytest.raises(BadCredentials):
                await store.accounts.authenticate_apop(f"{login}@example.org", TIMESTAMP, bytes(16), "")
            costs.append((store.database.counts.statements - before[0], len(digests) - before[1]))
    assert costs == [(2, 1)] * 3


def test_a_key_file_holds_32_octets_in_base64(tmp_path: Path) -> None:
    """Anything else stops the start."""
    file = tmp_path / "apop"
    for wrong in (None, b"", b"short", b"c2hvcnQ=", b"A" * 60):
        if wrong is not None:
            file.write_bytes(wrong)
        with pytest.raises(CannotStart, match=str(file)):
            read_key(file)
    file.write_bytes(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    assert read_key(file) == bytes(32)
