"""`python -m tests.faults.stress.worker`: sessions of the IMAP door, whose clients' sockets somebody else holds.

The rule: everything behind the framing is the door's own; what is here only carries words.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from services.imap import commands
from services.imap.conversation import Session
from services.imap.door import Door
from services.imap.session.token import Token
from services.imap.settings import Settings
from services.imap.signals import Signals
from services.mail.imap.framing import Event, Framing
from services.plumbing import processes
from services.plumbing.net.connection import Connection
from services.plumbing.net.deadlines import Deadlines
from services.plumbing.presence import Presence
from services.plumbing.processes import Process
from services.plumbing.rpc import client
from tests.faults.stress.link import Begin, Line, Replies, Unpacker, Verdict, Waiting, Word, pack


class Whole(Framing):
    """The framing of a session whose commands come whole."""

    def __init__(self, say: Callable[[Word], None]) -> None:
        super().__init__()
        self.taken = self.longest_line = 0
        self._say = say
        self._unpacker = Unpacker()
        self._words: deque[Word] = deque()

    def receive(self, octets: bytes) -> None:
        self._words += self._unpacker.feed(octets)

    def take(self) -> Word | None:
        """The next word."""
        return self._words.popleft() if self._words else None

    def next_event(self) -> Event | None:
        self.longest_line = 0
        word = self.take()
        self.taken += word is not None
        assert not isinstance(word, Begin | Line | Replies | Waiting | Verdict), word
        return word

    def next_line(self, limit: int) -> bytes | None:
        self.longest_line = limit
        word = self.take()
        if word is None:
            return None
        self.taken += 1
        assert isinstance(word, Line), word
        return word.octets

    def accept(self) -> None:
        self._say(Verdict(is_accepted=True))

    def refuse(self) -> None:
        self._say(Verdict(is_accepted=False))


class Link(Connection):
    """The connection of a session to the front."""

    def __init__(self, deadlines: Deadlines, serve: Callable[["Link"], None]) -> None:
        super().__init__(("", 0), ("", 0), deadlines, None)
        self.framing = Whole(self._say)
        self.token: Callable[[], Token | None] | None = None
        self._serve = serve

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._serve(self)

    def write(self, data: bytes | memoryview) -> None:
        self._say(Replies(bytes(data)))

    async def read(self, timeout: float | None = None) -> bytes:
        if self.token is not None:
            token = self.token()
            octets = token.encode() if token is not None else b""
            self._say(Waiting(self.framing.taken, self.framing.longest_line, octets))
        return await super().read(timeout)

    def _say(self, word: Word) -> None:
        super().write(pack(word))


async def serve(door: Door, link: Link) -> None:
    """One session, from its beginning or its token until it is over or let go."""
    while (begin := link.framing.take()) is None:
        if not (octets := await link.read()):
            return
        link.framing.receive(octets)
    assert isinstance(begin, Begin), begin
    link.peer = begin.peer
    session = Session(door, link, link.framing)
    link.token = session.token
    try:
        await session.converse(Token.decode(begin.token) if begin.token else None)
    finally:
        link.token = None
        session.leave()
        await link.close()


async def main(settings: Settings, process: Process) -> None:
    """Serves sessions until the process is told to stop."""
    assert commands.FAMILIES
    tasks: set[asyncio.Task[None]] = set()
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(client.connect(settings))
        signals = Signals(store.changes)
        presence = await stack.enter_async_context(Presence(store.sessions, "imap", "worker"))
        door = Door(settings, store, signals, process.stopping, presence)
        deadlines = Deadlines()

        def begin(link: Link) -> None:
            task = asyncio.create_task(serve(door, link))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        following = asyncio.create_task(signals.run())
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Link(deadlines, begin), "127.0.0.1", 0)
        process.ready(port=server.sockets[0].getsockname()[1])
        await process.stopping.wait()
        server.close()
        following.cancel()
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    processes.run("imap", Settings, main)
