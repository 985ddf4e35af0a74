"""Sessions that deliver letters as an MTA does, and the log of what they were told.

The rule: whatever a session does not hear as 2xx it sends again, and notes how it ended.
"""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Self

from tests.e2e.system import PATIENCE

SESSIONS = 20
RETRY_SECONDS = 0.05


class Deferred(Exception):
    """The server said 4xx: try again later."""


class Connection:
    """One SMTP session that pipelines its envelope, as an MTA does (RFC 2920 §3.1)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.is_sent = False

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connects and says EHLO. Raises ConnectionError, Deferred."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        connection = cls(reader, writer)
        try:
            await connection.reply()
            writer.write(b"EHLO faults.test\r\n")
            await connection.reply()
        except BaseException:
            writer.close()
            raise
        return connection

    async def reply(self) -> bytes:
        """The next reply. Raises ConnectionError where there is none, Deferred for 4xx."""
        while True:
            line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise ConnectionResetError("closed without a reply")
            if line[3:4] != b"-":
                break
        if line[:1] == b"4":
            raise Deferred(line.decode().strip())
        assert line[:1] in b"23", line
        return line

    async def envelope(self, recipient: str) -> None:
        """MAIL, RCPT and DATA in one piece."""
        self._writer.write(b"MAIL FROM:<a@faults.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % recipient.encode())
        for _ in range(3):
            await self.reply()

    async def content(self, letter: bytes) -> None:
        """The letter; it is the server's when this returns."""
        self._writer.write(letter + b".\r\n")
        self.is_sent = True
        await self.reply()
        self.is_sent = False

    async def quit(self) -> None:
        """Says goodbye and hears it."""
        self._writer.write(b"QUIT\r\n")
        await self.reply()
        self._writer.close()

    def abort(self) -> None:
        """Closes at once."""
        self._writer.transport.abort()


@dataclass
class Log:
    """What the generator was told. lost: letters whose content had gone out when the connection ended."""

    acknowledged: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)


class Generator:
    """Sessions that deliver numbered letters to one account, and try again as an MTA does."""

    def __init__(
        self, port: int, recipient: str, letters: int, sessions: int = SESSIONS, octets: int = 70
    ) -> None:
        """octets: of a letter's text."""
        self.log = Log()
        self._octets = octets
        self._port = port
        self._recipient = recipient
        self._sessions = sessions
        self._waiting = deque(f"{number}@faults.test" for number in range(letters))
        self._progress = asyncio.Condition()
        self._is_over = False

    async def run(self) -> Log:
        """Delivers everything."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._sessions):
                    group.create_task(self._deliver_in_turn())
        finally:
            self._is_over = True
            async with self._progress:
                self._progress.notify_all()
        return self.log

    async def reached(self, letters: int) -> None:
        """Waits until so many letters are acknowledged, or nothing more comes."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._is_over or len(self.log.acknowledged) >= letters)

    async def _deliver_in_turn(self) -> None:
        connection: Connection | None = None
        while self._waiting:
            name = self._waiting.popleft()
            async with asyncio.timeout(PATIENCE):
                connection = await self._deliver(name, connection)
            self.log.acknowledged.append(name)
            async with self._progress:
                self._progress.notify_all()
        if connection is not None:
            await connection.quit()

    async def _deliver(self, name: str, connection: Connection | None) -> Connection:
        """Tries until it is acknowledged; answers the connection that did it."""
        while True:
            try:
                connection = connection or await Connection.open(self._port)
                await connection.envelope(self._recipient)
                await connection.content(letter(name, self._octets))
            except Deferred as error:
                self.log.troubles.append(f"{name}: {error}")
            except OSError as error:
                if connection is not None and connection.is_sent:
                    self.log.lost[name] += 1
                self.log.troubles.append(f"{name}: {error}")
            else:
                return connection
            if connection is not None:
                connection.abort()
                connection = None
            await asyncio.sleep(RETRY_SECONDS)


def letter(name: str, octets: int = 70) -> bytes:
    """A letter by the name that its Message-ID has."""
    head = b"From: a@faults.test\r\nMessage-ID: <%b>\r\nSubject: fault\r\n\r\n" % name.encode()
    return head + (b"x" * 70 + b"\r\n") * (octets // 70)
