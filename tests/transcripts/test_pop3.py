"""Dialogues with the POP3 door, each without sockets and over a real one.

A file is lines: `given N messages` and `given message OCTETS` fill INBOX of alice@example.org, whose password
is `a secret`; `given session` is somebody else in the maildrop; `C:` a line of the client (those in a row are
one write), `S:` a line of the server with ... for anything, `closed`, and `kept N`. The rule: a dialogue
names everything that it depends on.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import pytest

from services.plumbing.net.connection import Connection
from services.plumbing.net.deadlines import Deadlines
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.presence import Presence
from services.pop3.conversation import converse
from services.pop3.locks import Locks
from services.pop3.session import Session
from services.pop3.settings import Pop3Settings
from tests.fakes.memory import MemoryStore
from tests.fakes.pop3 import ADDRESS, PASSWORD, account_with, add_message, inbox_of
from tests.fakes.transport import MemoryTransport

FOLDER = Path(__file__).parent / "pop3"
DIALOGUES = sorted(FOLDER.glob("*.txt"))
BOUND = 10.0

Say = Callable[[bytes], object]
Wire = tuple[asyncio.StreamReader, Say]


def session_of(connection: Connection, store: MemoryStore) -> Session:
    """A session of a door that nobody started."""
    presence = Presence(store.sessions, "pop3", "")
    return Session(connection, store, Locks(store.sessions), presence, Pop3Settings(), asyncio.Event())


@asynccontextmanager
async def without_sockets(store: MemoryStore) -> AsyncIterator[Wire]:
    connection = Connection(("127.0.0.1", 40000), ("127.0.0.1", 110), Deadlines(), None)
    transport = MemoryTransport(connection)

    async def run() -> None:
        with suppress(ConnectionResetError):
            await converse(session_of(connection, store))
        await connection.close()

    task = asyncio.create_task(run())
    try:
        yield transport.written, connection.data_received
    finally:
        transport.close()
        await task


@asynccontextmanager
async def over_a_socket(store: MemoryStore) -> AsyncIterator[Wire]:
    async def serve(connection: Connection) -> None:
        await converse(session_of(connection, store))

    async with Listener("127.0.0.1", 0, serve, tls=None, implicit_tls=False, limits=Limits()) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        try:
            yield reader, writer.write
        finally:
            writer.close()
            await writer.wait_closed()


def read(dialogue: Path) -> list[str]:
    """Its lines but for empty ones and comments."""
    return [line for line in dialogue.read_text().splitlines() if line and not line.startswith("#")]


def matches(wanted: str, line: bytes) -> bool:
    """Whether a line is as wanted; ... stands for anything."""
    pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
    return re.fullmatch(pattern, line.decode("utf-8").removesuffix("\r\n")) is not None


async def given(words: str, store: MemoryStore, account_id: int) -> None:
    """Fills the store before the client comes."""
    kind, _, rest = words.partition(" ")
    if kind == "message":
        await add_message(store, account_id, rest.encode().decode("unicode_escape").encode("latin-1"))
    elif kind == "session":
        await store.sessions.lock_maildrop(account_id)
    else:
        for number in range(1, int(kind) + 1):
            await add_message(store, account_id, b"Subject: %d\r\n\r\nletter %d\r\n" % (number, number))


async def play(lines: list[str], store: MemoryStore, account_id: int, wire: Wire) -> None:
    """The rest of the dialogue, from the greeting on."""
    reader, say = wire
    pending = b""
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "C:":
            pending += rest.encode() + b"\r\n"
            continue
        if pending:
            say(pending)
            pending = b""
        if kind == "S:":
            received = await asyncio.wait_for(reader.readline(), BOUND)
            assert matches(rest, received), f"wanted {rest!r}, got {received!r}"
        elif kind == "closed":
            assert await asyncio.wait_for(reader.read(), BOUND) == b""
        else:
            assert kind == "kept", line
            assert len((await inbox_of(store, account_id)).uids) == int(rest)


@pytest.mark.parametrize("medium", [without_sockets, over_a_socket])
@pytest.mark.parametrize("dialogue", DIALOGUES, ids=[each.stem for each in DIALOGUES])
async def test_the_dialogue_goes_as_written(
    dialogue: Path, medium: Callable[[MemoryStore], AbstractAsyncContextManager[Wire]]
) -> None:
    """RFC 1939; each file cites its own source."""
    lines = read(dialogue)
    store = MemoryStore()
    account_id = await account_with(store, ADDRESS, PASSWORD)
    while lines[0].startswith("given "):
        await given(lines.pop(0).removeprefix("given "), store, account_id)
    async with medium(store) as wire:
        await play(lines, store, account_id, wire)
