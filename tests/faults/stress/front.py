"""Holds the clients' sockets and their framing, while their sessions run in one worker or another.

The rule: a session is moved only while its worker waits and has taken everything; then nothing is left of it but its
token. Half of the moves let the old worker finish what it says, the others leave it as if it had died.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from services.imap.session.token import Token
from services.mail.imap.framing import Continue, Event, Framing, MessageEnd, MessageStart, Refused
from tests.faults.stress.link import Begin, Line, Replies, Unpacker, Verdict, Waiting, Word, pack

logger = logging.getLogger(__name__)

MESSAGE_OCTETS = 100 * 1024 * 1024
MOVING = 0.3
MOVING_IDLE = 0.5
READ = 1 << 16


class Front:
    """A port for clients. carry: what becomes of a token on its way. moves: how many of which kind there were."""

    def __init__(
        self, workers: Sequence[int], seed: str, carry: Callable[[bytes], bytes] = lambda token: token
    ) -> None:
        self.workers = workers
        self.carry = carry
        self.moves: Counter[str] = Counter()
        self.port = 0
        self._seed = seed
        self._served = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        logger.info("moves: %s", dict(self.moves))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._served += 1
        held = Held(self, reader, writer, random.Random(f"{self._seed}/front/{self._served}"))
        task = asyncio.create_task(self._serve(held, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, held: "Held", writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                await held.run()
        finally:
            held.leave()
            writer.close()


class Worker:
    """The way to a session in its worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._unpacker = Unpacker()
        self._words: list[Word] = []

    async def word(self) -> Word | None:
        """What it says next; None where it has said everything. May be cancelled. Raises OSError."""
        while not self._words:
            octets = await self._reader.read(READ)
            if not octets:
                return None
            self._words += self._unpacker.feed(octets)
        return self._words.pop(0)


class Held:
    """One client's socket, and where its session is."""

    def __init__(
        self,
        front: Front,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chance: random.Random,
    ) -> None:
        self._front, self._reader, self._writer, self._chance = front, reader, writer, chance
        self._framing = Framing()
        self._worker: Worker | None = None
        self._place = chance.randrange(len(front.workers))
        self._waiting: Waiting | None = None
        self._token = b""
        self._given = 0
        self._item: Event | Line | None = None
        self._is_in_message = False
        self._heard: asyncio.Task[Word | None] | None = None
        self._read: asyncio.Task[bytes] | None = None

    async def run(self) -> None:
        """Until the client or its session ends. Raises OSError."""
        await self._begin()
        while await self._step():
            pass

    async def _begin(self) -> None:
        self._worker = Worker(*await asyncio.open_connection("127.0.0.1", self._front.workers[self._place]))
        self._waiting, self._given = None, 0
        peer = self._writer.get_extra_info("peername")
        self._worker.writer.write(pack(Begin(peer, self._front.carry(self._token) if self._token else b"")))

    async def _step(self) -> bool:
        """One thing that can be done now, or a wait for one; False where it is over."""
        assert self._worker is not None
        if self._is_ready and self._item is None:
            self._item = await self._next()
        if self._is_ready and self._item is not None:
            if self._is_movable and self._chance.random() < MOVING:
                return await self._move("between commands")
            self._give(self._item)
            return True
        self._heard = self._heard or asyncio.ensure_future(self._worker.word())
        waits: set[asyncio.Task[Word | None] | asyncio.Task[bytes]] = {self._heard}
        if self._is_ready:
            self._read = self._read or asyncio.ensure_future(self._reader.read(READ))
            waits.add(self._read)
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self._heard.done():
            word, self._heard = self._heard.result(), None
            return word is not None and await self._take(word)
        assert self._read is not None
        octets, self._read = self._read.result(), None
        self._framing.receive(octets)
        return bool(octets)

    @property
    def _is_ready(self) -> bool:
        """Whether its worker waits for the next event or line, and for nothing that is on its way."""
        return self._waiting is not None and self._waiting.taken == self._given

    @property
    def _is_movable(self) -> bool:
        return self._is_ready and bool(self._token) and not self._is_in_message

    async def _next(self) -> Event | Line | None:
        assert self._waiting is not None
        if self._waiting.line:
            line = self._framing.next_line(self._waiting.line)
            return None if line is None else Line(line)
        while isinstance(event := self._framing.next_event(), Continue):
            self._writer.write(b"+ go on\r\n")
            await self._writer.drain()
        return event

    def _give(self, item: Event | Line) -> None:
        assert self._worker is not None
        self._worker.writer.write(pack(item))
        self._given += 1
        self._item = None
        if isinstance(item, MessageStart):
            self._is_in_message = True
        elif isinstance(item, MessageEnd | Refused):
            self._is_in_message = False

    async def _take(self, word: Word) -> bool:
        match word:
            case Replies(octets):
                self._waiting = None
                self._writer.write(octets)
                await self._writer.drain()
            case Verdict(is_accepted):
                self._is_in_message = is_accepted
                (self._framing.accept if is_accepted else self._framing.refuse)()
            case Waiting(_, line, token):
                if token and not self._token:
                    self._framing.limits = self._framing.limits.logged_in(MESSAGE_OCTETS)
                self._waiting, self._token = word, token
                if line and self._is_movable and self._chance.random() < MOVING_IDLE:
                    assert Token.decode(token).idling
                    return await self._move("in IDLE")
            case _:
                raise AssertionError(word)
        return True

    async def _move(self, when: str) -> bool:
        """Has the other worker take the session up; False where it ended meanwhile."""
        assert self._worker is not None
        if self._chance.random() < 0.5:
            self._front.moves[f"{when}, let go"] += 1
            self._worker.writer.write_eof()
            if not await self._hear_out():
                return False
        else:
            self._front.moves[f"{when}, left"] += 1
        await self._forget()
        self._place = (self._place + 1) % len(self._front.workers)
        await self._begin()
        return True

    async def _hear_out(self) -> bool:
        """Passes on what the worker still says; False where that is how the session ends."""
        assert self._worker is not None
        while True:
            self._heard = self._heard or asyncio.ensure_future(self._worker.word())
            word, self._heard = await self._heard, None
            match word:
                case None:
                    return self._waiting is not None
                case Waiting():
                    self._waiting, self._token = word, word.token
                case _:
                    await self._take(word)

    async def _forget(self) -> None:
        """Drops the worker with all that it says and nobody has heard."""
        assert self._worker is not None
        if self._heard is not None:
            self._heard.cancel()
            await asyncio.wait((self._heard,))
            self._heard = None
        self._worker.writer.transport.abort()

    def leave(self) -> None:
        """Lets everything go."""
        for task in (self._heard, self._read):
            if task is not None:
                task.cancel()
        if self._worker is not None:
            self._worker.writer.transport.abort()
