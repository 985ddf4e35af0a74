"""Dialogues with the POP3 door, each without sockets and over a real one.

A file is lines: `given N messages` and `given message OCTETS` fill INBOX of alice@example.org, whose password
is `a secret`; `given session` is somebody else in the maildrop; `given timestamp` is what the greeting has, and `given
apop` the secret that goes with it; `C:` a line of the client (those in a row are
one write), `S:` a line of the server with ... for anything, `closed`, and `kept N`. The rule: a dialogue
names everything that it depends on.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
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


@dataclass(slots=True)
class Scene:
    """What there is before the client comes. timestamp: the greeting's, "" for none."""

    store: MemoryStore
    account_id: int
    timestamp: str = ""


def session_of(connection: Connection, scene: Scene) -> Session:
    """A session of a door that nobody started."""
    store = scene.store
    presence = Presence(store.sessions, "pop3", "")
    session = Session(connection, store, Locks(store.sessions), presence, Pop3Settings(), asyncio.Event())
    session.timestamp = scene.timestamp
    return session


@asynccontextmanager
async def without_sockets(scene: Scene) -> AsyncIterator[Wire]:
    connection = Connection(("127.0.0.1", 40000), ("127.0.0.1", 110), Deadlines(), None)
    transport = MemoryTransport(connection)

    async def run() -> None:
        with suppress(ConnectionResetError):
            await converse(session_of(connection, scene))
        await connection.close()

    task = asyncio.create_task(run())
    try:
        yield transport.written, connection.data_received
    finally:
        transport.close()
        await task


@asynccontextmanager
async def over_a_socket(scene: Scene) -> AsyncIterator[Wire]:
    async def serve(connection: Connection) -> None:
        await converse(session_of(connection, scene))

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


async def given(words: str, scene: Scene) -> None:
    """Sets the scene before the client comes."""
    kind, _, rest = words.partition(" ")
    store, account_id = scene.store, scene.account_id
    if kind == "message":
        await add_message(store, account_id, rest.encode().decode("unicode_escape").encode("latin-1"))
    elif kind == "session":
        await store.sessions.lock_maildrop(account_id)
    elif kind == "timestamp":
        scene.timestamp = rest
    elif kind == "apop":
        await store.accounts.set_apop_secret(account_id, rest.encode())
    else:
        for number in range(1, int(kind) + 1):
            await add_message(store, account_id, b"Subject: %d\r\n\r\nletter %d\r\n" % (number, number))


async def play(lines: list[str], scene: Scene, wire: Wire) -> None:
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
            assert len((await inbox_of(scene.store, scene.account_id)).uids) == int(rest)


@pytest.mark.parametrize("medium", [without_sockets, over_a_socket])
@pytest.mark.parametrize("dialogue", DIALOGUES, ids=[each.stem for each in DIALOGUES])
async def test_the_dialogue_goes_as_written(
    dialogue: Path, medium: Callable[[Scene], AbstractAsyncContextManager[Wire]]
) -> None:
    """RFC 1939; each file cites its own source."""
    lines = read(dialogue)
    store = MemoryStore()
    scene = Scene(store, await account_with(store, ADDRESS, PASSWORD))
    while lines[0].startswith("given "):
        await given(lines.pop(0).removeprefix("given "), scene)
    async with medium(scene) as wire:
        await play(lines, scene, wire)
