"""Dialogues as text: `given` sets the store up, `C:` is said by the client, `S:` is what must come back.

    # A sentence that says what is shown. RFC 9051 §6.4.7.
    given alice INBOX 3 messages
    C: a2 COPY 1:2 Nowhere
    S: a2 NO [TRYCREATE] ...

`given nobody` stops before login. `given alice` logs in; with `NAME n messages` the mailbox is made where it is
missing, filled and (the last one named) selected; `given bulk` makes each message 300 KB. `meanwhile
deliver|flag|expunge|delete|forget` happens at another client (forget: the change log so far is swept). `...` stands
for anything in the line, and `<name>` for a number: the same one wherever it is said again. A line `C+ text` is sent
without a line end; `S: end` is the end.
The rule: the runner knows no command; what is not written in the file is not sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from services.imap import commands
from services.imap.door import Door
from services.imap.settings import Settings
from services.imap.signals import Signals
from services.mail.store.messages import FlagChange
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.net.networks import is_loopback
from services.plumbing.presence import Presence
from tests.fakes.memory import MemoryStore

assert commands.FAMILIES
PASSWORD = b"correct horse"
_NUMBER = re.compile(r"<([a-z]+)>")
SECONDS = 10.0


@dataclass
class Dialogue:
    """One dialogue of a file."""

    name: str
    given: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def read(path: Path) -> Iterator[Dialogue]:
    """The dialogues of a file; each starts with its comment."""
    current: Dialogue | None = None
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("# "):
            if current is None or current.given:
                current = Dialogue(line[2:])
                yield current
        elif current is not None and line.startswith("given "):
            current.given.append(line[6:])
        elif current is not None and line.strip():
            current.lines.append(line)


def letter(number: int, is_bulky: bool = False) -> bytes:
    """Message `number` of a mailbox."""
    text = b"x" * 70 + b"\r\n"
    body = text * 4200 if is_bulky else b""
    return b"From: bob@example.org\r\nSubject: message %d\r\n\r\nbody %d\r\n%b" % (number, number, body)


class Client(Protocol):
    """The client's end of a connection."""

    def send(self, octets: bytes) -> None: ...
    async def line(self) -> bytes: ...


class MemoryConnection:
    """A connection without a socket: what the door writes is read by the test, and the other way round."""

    def __init__(self) -> None:
        self.peer = ("127.0.0.1", 40000)
        self.local = ("127.0.0.1", 143)
        self.id = "memory"
        self.end_point = b""
        self.is_tls = self.has_tls = self.is_lost = self.has_ended = False
        self._in: asyncio.Queue[bytes] = asyncio.Queue()
        self._out = asyncio.StreamReader()

    def send(self, octets: bytes) -> None:
        self._in.put_nowait(octets)

    @property
    def is_local(self) -> bool:
        return is_loopback(self.peer[0])

    async def line(self) -> bytes:
        return await self._out.readline()

    def buffered(self) -> int:
        return 0

    async def read(self, timeout: float | None = None) -> bytes:
        async with asyncio.timeout(timeout):
            return await self._in.get()

    def write(self, data: bytes) -> None:
        self._out.feed_data(data)

    async def write_out(self, data: bytes) -> None:
        if data:
            self.write(data)
        await self.drain()

    async def drain(self) -> None: ...

    def abort(self) -> None:
        self.end()

    def end_reading(self) -> None:
        self._in.put_nowait(b"")

    def end(self) -> None:
        self._out.feed_eof()


class SocketClient:
    """A client over a real socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, octets: bytes) -> None:
        self._writer.write(octets)

    async def line(self) -> bytes:
        return await self._reader.readline()


@asynccontextmanager
async def door(store: MemoryStore) -> AsyncIterator[Door]:
    """A door on a store, with its follower of changes."""
    signals = Signals(store.changes)
    following = asyncio.create_task(signals.run())
    try:
        yield Door(Settings(), store, signals, asyncio.Event(), Presence(store.sessions, "imap", ""))
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@asynccontextmanager
async def in_memory(door: Door) -> AsyncIterator[Client]:
    """A client of the session alone."""
    connection = MemoryConnection()

    async def serve() -> None:
        await door.serve(connection)  # type: ignore[arg-type]
        connection.end()

    serving = asyncio.create_task(serve())
    try:
        yield connection
    finally:
        connection.send(b"")
        await asyncio.wait_for(serving, SECONDS)


@asynccontextmanager
async def over_socket(door: Door) -> AsyncIterator[Client]:
    """A client over a real socket."""
    listener = Listener("127.0.0.1", 0, door.serve, tls=None, implicit_tls=False, limits=Limits())
    async with listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=2**20)
        try:
            yield SocketClient(reader, writer)
        finally:
            writer.close()


async def prepare(store: MemoryStore, given: list[str]) -> tuple[bool, str]:
    """Fills the store; whether somebody logs in, and which mailbox is selected."""
    await store.accounts.add_domain("example.org")
    account = await store.accounts.add_account("alice@example.org", PASSWORD)
    if given == ["nobody"]:
        return False, ""
    selected, is_bulky = "", "bulk" in given
    for line in given:
        if found := re.fullmatch(r"alice (\S+) (\d+) messages?", line):
            selected = found[1]
            listing = await store.mailboxes.list(account.account_id, selected)
            if selected not in {mailbox.name for mailbox in listing.mailboxes}:
                await store.mailboxes.create(account.account_id, selected)
            for number in range(1, int(found[2]) + 1):
                await add(store, selected, number, is_bulky)
        elif line not in ("alice", "bulk"):
            raise ValueError(f"not understood: given {line}")
    return True, selected


async def add(store: MemoryStore, name: str, number: int, is_bulky: bool = False) -> None:
    """Appends message `number`."""
    account = await store.accounts.find_account("alice@example.org")
    mailbox, _ = await store.mailboxes.status(account.account_id, name)
    octets = letter(number, is_bulky)
    await store.messages.append(mailbox.key, octets, len(octets), internal_at=1_000_000_000 + 86_400 * number)


async def meanwhile(store: MemoryStore, line: str) -> None:
    """Something that another client does."""
    verb, name, *rest = line.split()
    account = await store.accounts.find_account("alice@example.org")
    if verb == "delete":
        await store.mailboxes.delete(account.account_id, name)
        return
    if verb == "forget":
        store.state.trim(account.account_id)
        return
    mailbox, status = await store.mailboxes.status(account.account_id, name)
    if verb == "deliver":
        await add(store, name, status.uid_next)
    elif verb == "flag":
        await store.messages.store(mailbox.key, ((int(rest[0]), int(rest[0])),), FlagChange.ADD, rest[1:])
    elif verb == "expunge":
        await store.messages.expunge(mailbox.key, ((int(rest[0]), int(rest[0])),), even_undeleted=True)
    else:
        raise ValueError(f"not understood: meanwhile {line}")


async def play(dialogue: Dialogue, store: MemoryStore, client: Client) -> None:
    """Says and hears the dialogue; the first line that differs fails."""
    logs_in, selected = await prepare(store, dialogue.given)
    await expect(client, "* OK ...")
    if logs_in:
        client.send(b'given LOGIN alice@example.org "%b"\r\n' % PASSWORD)
        await expect(client, "given OK ...")
    if selected:
        client.send(b"given SELECT %b\r\n" % selected.encode())
        while not (line := await hear(client)).startswith("given "):
            assert line.startswith("* ")
        assert line.startswith("given OK")
    waiting = b""
    numbers: dict[str, str] = {}
    for line in dialogue.lines:
        if line.startswith("C"):
            waiting += said(line, numbers)
        else:
            if waiting:  # lines of the client that follow one another leave in one piece: they are pipelined
                client.send(waiting)
                waiting = b""
            if line.startswith("S: "):
                await expect(client, line[3:], numbers)
            elif line == "S:":
                await expect(client, "")
            elif line.startswith("meanwhile "):
                await meanwhile(store, line[10:])
            else:
                raise ValueError(f"not understood: {line}")


def said(line: str, numbers: dict[str, str]) -> bytes:
    """What a line of the client sends."""
    text = _NUMBER.sub(lambda found: numbers[found[1]], line[3:]).encode()
    return text if line.startswith("C+ ") else text + b"\r\n"


async def hear(client: Client) -> str:
    """The next line of the server."""
    octets = await asyncio.wait_for(client.line(), SECONDS)
    if not octets:
        return "end"
    assert octets.endswith(b"\r\n"), octets
    return octets[:-2].decode("utf-8", "replace")


async def expect(client: Client, wanted: str, numbers: dict[str, str] | None = None) -> None:
    """The next line must be this one, but for what `...` stands for; `numbers` are those that have a name."""
    known = {} if numbers is None else numbers
    wanted = _NUMBER.sub(lambda found: known.get(found[1], found[0]), wanted)
    pattern = ".*".join(re.escape(piece) for piece in wanted.split("..."))
    heard = await hear(client)
    found = re.fullmatch(_NUMBER.sub(r"(?P<\1>[0-9]+)", pattern), heard)
    assert found, f"wanted: {wanted}\nheard:  {heard}"
    known.update(found.groupdict())
