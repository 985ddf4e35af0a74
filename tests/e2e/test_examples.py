"""The examples do what they say."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from services.mail.store import Store
from services.mail.store.deliveries import Addressee, Letter
from services.mail.store.mailboxes import MailboxKey
from services.plumbing.rpc.server import Server
from services.storage.store import open_store
from tests.unit.rpc.ends import TOKEN, Settings

FOLLOW = Path(__file__).parents[2] / "examples" / "follow_changes.py"


@asynccontextmanager
async def storage(url: str, settings: Settings) -> AsyncIterator[tuple[Store, int]]:
    """One life of a storage process: on the database, behind gRPC."""
    async with open_store(url) as store:
        server = Server(store, settings)
        port = await server.start()
        try:
            yield store, port
        finally:
            await server.drain()
            await server.stop(0)


@asynccontextmanager
async def following(arguments: list[str], environment: dict[str, str]) -> AsyncIterator[asyncio.StreamReader]:
    """What the example prints while it runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(FOLLOW), *arguments, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def deliver(store: Store, mailbox: MailboxKey, letters: int) -> None:
    """So many small letters."""
    for _ in range(letters):
        await store.deliveries.deliver(Letter(uuid4(), (Addressee(mailbox),), b"Subject: x\r\n\r\n"))


async def uids_until(output: asyncio.StreamReader, last: int) -> list[int]:
    """Uids that were said to be added, up to one; as they came."""
    uids: list[int] = []
    while not uids or uids[-1] < last:
        modseq, kind, *bounds = (await output.readline()).decode().split()
        assert int(modseq) > 0
        assert kind == "CHANGE_KIND_ADDED"
        for first, end in zip(bounds[::2], bounds[1::2], strict=True):
            uids += range(int(first), int(end) + 1)
    return uids


async def test_follow_changes_misses_nothing_while_storage_and_itself_are_restarted(
    database_url: str, tmp_path: Path
) -> None:
    """Changes that were made while nobody followed come as soon as somebody does."""
    token, position = tmp_path / "token", tmp_path / "position"
    token.write_text(TOKEN)
    settings = Settings(token)
    async with storage(database_url, settings) as (store, port):
        await store.accounts.add_domain("example.org")
        account = await store.accounts.add_account("alice@example.org", b"secret")
        mailbox = (await store.mailboxes.status(account.account_id, "INBOX"))[0].key
        environment = {
            **os.environ,
            "RESTANTE_STORAGE": f"127.0.0.1:{port}",
            "RESTANTE_TOKEN_FILE": str(token),
        }
        position.write_text(str(await store.mailboxes.highest_modseq(mailbox)))
        arguments = [account.address, str(position)]
        follower = following(arguments, environment)
        output = await follower.__aenter__()
        await deliver(store, mailbox, 3)
        assert await uids_until(output, 3) == [1, 2, 3]
    async with open_store(database_url) as store:
        await deliver(store, mailbox, 2)
    async with storage(database_url, replace(settings, port=port)) as (store, _):
        await deliver(store, mailbox, 1)
        seen = await uids_until(output, 6)
        assert sorted(set(seen)) in ([4, 5, 6], [3, 4, 5, 6])
        await follower.__aexit__(None, None, None)
        await deliver(store, mailbox, 2)
        async with following(arguments, environment) as output:
            seen = await uids_until(output, 8)
            assert seen[-2:] == [7, 8]
            assert set(seen) <= {6, 7, 8}
