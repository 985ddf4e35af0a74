"""Letters into a whole system by SMTP and out of it by IMAP, with everything written down outside.

The rule: what a test believes is the log of the answers that the generator itself received, never what the system says
of itself.
"""

import asyncio
import imaplib
import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.e2e.system import PATIENCE, System

logger = logging.getLogger(__name__)

SESSIONS = 20
RETRY_SECONDS = 0.05
PASSWORD = "correct horse"
MESSAGE_ID = re.compile(rb"(?im)^message-id: <([^>]*)>")


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


def read_back(system: System, account: str) -> list[str]:
    """The Message-IDs of an account's INBOX, read by IMAP, in the order of their UIDs, which have no gaps."""
    imap = imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=PATIENCE)
    imap.login(account, PASSWORD)
    imap.select("INBOX", readonly=True)
    _, found = imap.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
    imap.logout()
    rows = [row for row in found if isinstance(row, tuple)]
    uids = [int(re.findall(rb"UID (\d+)", row[0])[0]) for row in rows]
    assert uids == list(range(1, len(uids) + 1))
    return [MESSAGE_ID.findall(row[1])[0].decode() for row in rows]


def assert_exactly_once(log: Log, found: Iterable[str]) -> None:
    """Every acknowledged letter is there once; one whose answer was lost may have come once more each time.

    A client that has lost the answer sends again and makes a second copy: RFC 1047.
    """
    came = Counter(found)
    assert set(came) == set(log.acknowledged)
    assert len(log.acknowledged) == len(came)
    doubled = {name: times for name, times in came.items() if times > 1}
    unexplained = {name: times for name, times in doubled.items() if times > 1 + log.lost[name]}
    assert not unexplained, (
        unexplained,
        [each for each in log.troubles if each.split(":")[0] in unexplained],
    )
    again = sum(doubled.values()) - len(doubled)
    logger.info("%d answers lost, %d letters came again: %s", log.lost.total(), again, sorted(doubled))


def verify(system: System) -> str:
    """What `verify` prints; empty where it finds no drift."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "services.storage", "verify"],
        env={**os.environ, "RESTANTE_HOME": str(system.home), "RESTANTE_DATABASE_URL": system.database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


class Idler:
    """An IMAP session that waits in IDLE. RFC 2177."""

    def __init__(self, port: int, account: str) -> None:
        self._imap = imaplib.IMAP4("127.0.0.1", port, timeout=PATIENCE)
        self._imap.login(account, PASSWORD)
        self._imap.select("INBOX", readonly=True)
        self._imap.send(b"idle IDLE\r\n")
        assert self._imap.readline().startswith(b"+")

    def await_exists(self, messages: int) -> None:
        """Reads until it was told of so many messages."""
        while True:
            line = self._imap.readline()
            assert line, "closed"
            if line == b"* %d EXISTS\r\n" % messages:
                return

    def close(self) -> None:
        """Ends IDLE and logs out."""
        self._imap.send(b"DONE\r\n")
        while not self._imap.readline().startswith(b"idle OK"):
            pass
        self._imap.logout()


@contextmanager
def door(system: System, name: str, storage: str) -> Iterator[dict[str, int]]:
    """One more door of a kind, which knows only these copies of storage; its ports by name."""
    reading, writing = os.pipe()
    free = {f"RESTANTE_{each}": "0" for each in (f"{name.upper()}_PORT", f"{name.upper()}_TLS_PORT")}
    if name == "smtp":
        del free["RESTANTE_SMTP_TLS_PORT"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RESTANTE_")}
    own = {"RESTANTE_HOME": str(system.home), "RESTANTE_STORAGE": storage, "RESTANTE_READY_FD": str(writing)}
    with (system.home / "logs" / f"{name}-extra.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"services.{name}"],
            env={**kept, **free, **own},
            pass_fds=[writing],
            stdout=log,
            stderr=log,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            line = said.readline()
        assert line, (system.home / "logs" / f"{name}-extra.log").read_text()
        ports: dict[str, int] = json.loads(line)["ports"]
        yield ports
    finally:
        process.terminate()
        process.wait()
