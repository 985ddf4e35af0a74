"""The least client that can time a server: octets out, tagged replies in. The rule: the same code drives both sides."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import Final

from bench.peers import PASSWORD

LITERAL_AT_END: Final = re.compile(rb"\{(\d+)\}\r\n$")


class Imap:
    """One IMAP connection that reads a whole reply and keeps it as octets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._tag = 0

    @classmethod
    async def login(cls, port: int, user: str, security: ssl.SSLContext | None = None) -> "Imap":
        """Connects and logs in."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 << 20, ssl=security)
        await reader.readline()
        connection = cls(reader, writer)
        await connection.ask(f'LOGIN "{user}" "{PASSWORD}"')
        return connection

    async def ask(self, command: str) -> bytes:
        """Sends a command and reads up to its tagged reply, which must be OK; answers all untagged octets."""
        self._tag += 1
        tag = f"a{self._tag}".encode()
        self._writer.write(tag + b" " + command.encode() + b"\r\n")
        end = re.compile(rb"(?:^|\r\n)" + tag + rb" (\w+)[^\r\n]*\r\n$")
        chunks: list[bytes] = []
        tail = b""
        while True:
            chunk = await self._reader.read(1 << 18)
            if not chunk:
                raise ConnectionError(f"closed during {command[:60]}")
            chunks.append(chunk)
            tail = (tail + chunk)[-512:]
            if found := end.search(tail):
                if found.group(1) != b"OK":
                    raise RuntimeError(f"{command[:60]}: {tail[-200:]!r}")
                return b"".join(chunks)

    async def idle(self) -> None:
        """Begins IDLE; what it tells is waited for by `notice`."""
        self._tag += 1
        self._writer.write(b"a%d IDLE\r\n" % self._tag)
        while not (await self._reader.readline()).startswith(b"+"):
            pass

    async def notice(self, word: bytes) -> None:
        """Waits for a line with this word."""
        while word not in (line := await self._reader.readline()):
            if not line:
                raise ConnectionError("closed during IDLE")

    async def append(self, mailbox: str, octets: bytes) -> None:
        """Adds a message, without waiting to be asked for it (RFC 7888)."""
        await self.ask(f"APPEND {mailbox} {{{len(octets)}+}}\r\n{octets.decode('ascii')}")

    async def done(self) -> None:
        """Ends IDLE."""
        self._writer.write(b"DONE\r\n")
        await self.notice(b"a%d OK" % self._tag)

    async def close(self) -> None:
        """Logs out."""
        await self.ask("LOGOUT")
        self._writer.close()

    def drop(self) -> None:
        """Closes, and says nothing."""
        self._writer.close()


class Pop3:
    """One POP3 connection, which says all that it wants in one piece and reads up to the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def login(cls, port: int, user: str) -> "Pop3":
        """Connects and logs in."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        for line in (f"USER {user}", f"PASS {PASSWORD}"):
            writer.write(f"{line}\r\n".encode())
            if not (answer := await reader.readline()).startswith(b"+OK"):
                raise RuntimeError(f"{line[:4]}: {answer!r}")
        return cls(reader, writer)

    async def finish(self, *commands: str) -> bytes:
        """The answers to these and to QUIT, which must not delete anything."""
        self._writer.write("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
        chunks = []
        while chunk := await self._reader.read(1 << 18):
            chunks.append(chunk)
        self._writer.close()
        return b"".join(chunks)


class _Replies(asyncio.Protocol):
    """SMTP or LMTP replies as they come; whoever waits is woken once, behind the last that it waits for."""

    def __init__(self) -> None:
        self._rest = b""
        self._owed = 0
        self._came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if line[:1] not in b"23":
                self._end(RuntimeError(f"refused: {line!r}"))
            self._owed -= line[3:4] != b"-"
        if self._owed == 0 and not self._came.done():
            self._came.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("closed"))

    def _end(self, error: Exception) -> None:
        if not self._came.done():
            self._came.set_exception(error)

    async def take(self, count: int) -> None:
        """Waits for so many replies, to be called as soon as they are owed. Raises RuntimeError for a refusal."""
        self._owed += count
        if self._owed:
            self._came = asyncio.get_running_loop().create_future()
            await self._came


async def deliver(port: int, greeting: str, recipient: str, letters: Sequence[bytes]) -> int:
    """One session that delivers letters one after another over SMTP or LMTP; answers how many were taken.

    Envelope commands are pipelined, as an MTA does it (RFC 2920 §3.1).
    """
    loop = asyncio.get_running_loop()
    transport, replies = await loop.create_connection(_Replies, "127.0.0.1", port)
    await replies.take(1)
    transport.write(f"{greeting} bench.test\r\n".encode())
    await replies.take(1)
    envelope = f"MAIL FROM:<sender@sender.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()
    for letter in letters:
        transport.write(envelope)
        await replies.take(3)
        transport.write(letter + b".\r\n")
        await replies.take(1)
    transport.write(b"QUIT\r\n")
    await replies.take(1)
    transport.close()
    return len(letters)
