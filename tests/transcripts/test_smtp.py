"""Dialogues with the SMTP door, each without sockets and over a real one.

A file is lines: `lmtp` where it is that door, `given ADDRESS [MESSAGES]`, the second a quota, `alias ADDRESS TARGET…`,
`setting NAME VALUE`, `C:` a line of the client (those in a row are one write), `R:` octets with escapes and no line
end, `X:` a line of so many octets, `S:` a line of the server with ... for anything, `S+:` a reply of any number of
lines with this code, `closed`, and `kept ADDRESS COUNT TEXT…`, which asks what lies in INBOX. The rule: it names
everything that it depends on.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from services.mail.store.accounts import Quota
from services.mail.store.mailboxes import INBOX
from services.plumbing.net.connection import Connection
from services.smtp.door import Door
from services.smtp.refusals import Refusals
from services.smtp.session import Session
from services.smtp.settings import Settings
from tests.fakes.memory import MemoryStore

FOLDER = Path(__file__).parent / "smtp"
DIALOGUES = sorted(FOLDER.glob("*.txt"))
BOUND = 10.0


class Wire:
    """What a client holds: `say` sends, `lines` is what the server wrote."""

    def __init__(self, lines: asyncio.StreamReader, say: Callable[[bytes], None]) -> None:
        self.lines = lines
        self.say = say


Opener = Callable[[MemoryStore, Settings, bool], AbstractAsyncContextManager[Wire]]


class Pipe:
    """A connection without a socket, as far as a session uses one."""

    def __init__(self) -> None:
        self.peer, self.local = ("192.0.2.1", 40000), ("192.0.2.2", 25)
        self.has_tls = self.is_tls = False
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.outgoing = asyncio.StreamReader()

    def buffered(self) -> int:
        return self.incoming.qsize()

    async def read(self, timeout: float | None = None) -> bytes:
        async with asyncio.timeout(timeout):
            return await self.incoming.get()

    def write(self, data: bytes) -> None:
        self.outgoing.feed_data(data)

    async def drain(self, timeout: float) -> None:
        """There is always room."""


@asynccontextmanager
async def without_sockets(store: MemoryStore, settings: Settings, is_lmtp: bool) -> AsyncIterator[Wire]:
    pipe = Pipe()
    session = Session(cast("Connection", pipe), store, settings, Refusals(store.traces), is_lmtp=is_lmtp)

    async def run() -> None:
        await session.run()
        pipe.outgoing.feed_eof()

    task = asyncio.create_task(run())
    try:
        yield Wire(pipe.outgoing, pipe.incoming.put_nowait)
    finally:
        pipe.incoming.put_nowait(b"")
        await task


@asynccontextmanager
async def over_a_socket(store: MemoryStore, settings: Settings, is_lmtp: bool) -> AsyncIterator[Wire]:
    door = Door(store, settings, None)
    await door.start()
    lines, writer = await asyncio.open_connection("127.0.0.1", door.lmtp_port if is_lmtp else door.port)
    try:
        yield Wire(lines, writer.write)
    finally:
        writer.close()
        await writer.wait_closed()
        await door.stop(grace=BOUND)


@pytest.mark.parametrize("wire", [without_sockets, over_a_socket])
@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda path: path.stem)
async def test_dialogue(dialogue: Path, wire: Opener) -> None:
    """RFC 5321; each file cites its own section."""
    await check(dialogue.read_text(), wire)  # noqa: ASYNC240 — nothing else runs in this loop


async def check(dialogue: str, wire: Opener) -> None:
    lines = [line for line in dialogue.splitlines() if line and not line.startswith("#")]
    store = MemoryStore()
    values: dict[str, Any] = {"port": 0, "lmtp_port": 0, "hostname": "mx.example.com", "error_seconds": 0}
    await store.accounts.add_domain("example.com")
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "given":
            address, _, messages = rest.partition(" ")
            await store.accounts.add_account(address, b"secret", Quota(messages=int(messages or 0)))
        elif word == "alias":
            address, *targets = rest.split()
            await store.aliases.add(address, targets)
        elif word == "setting":
            name, _, value = rest.partition(" ")
            values[name] = value
    async with asyncio.timeout(BOUND), wire(store, Settings(**values), "lmtp" in lines) as client:
        given = ("lmtp", "given ", "alias ", "setting ")
        await play([line for line in lines if not line.startswith(given)], client, store)


async def play(lines: list[str], client: Wire, store: MemoryStore) -> None:
    said = b""
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "C:":
            said += rest.encode() + b"\r\n"
            continue
        if word == "R:":
            said += rest.encode("latin-1").decode("unicode_escape").encode("latin-1")
            continue
        if word == "X:":
            said += b"x" * (int(rest) - 2) + b"\r\n"
            continue
        if said:
            client.say(said)
            said = b""
        if word == "S:":
            answer = (await client.lines.readline()).decode().removesuffix("\r\n")
            assert re.fullmatch(re.escape(rest).replace(r"\.\.\.", ".*"), answer), (
                f"{answer!r} is not {rest!r}"
            )
        elif word == "S+:":
            while (part := await client.lines.readline())[:4] == rest.encode() + b"-":
                pass
            assert part.startswith(rest.encode() + b" ")
        elif word == "closed":
            assert await client.lines.read() == b""
        else:
            assert word == "kept", line
            address, count, *text = rest.split(" ", 2)
            bodies = await kept(store, address)
            assert len(bodies) == int(count)
            assert all(each.encode().decode("unicode_escape").encode() in bodies[-1] for each in text)


async def kept(store: MemoryStore, address: str) -> list[bytes]:
    """The messages in an account's INBOX, octet for octet."""
    account = await store.accounts.find_account(address)
    mailbox, status = await store.mailboxes.status(account.account_id, INBOX)
    return [
        b"".join([part async for part in store.messages.read(mailbox.key, uid, 0, 2**31)])
        for uid in range(1, status.uid_next)
    ]
