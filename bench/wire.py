"""The least client that can time a server: octets out, tagged replies in. The rule: the same code drives both sides."""

import asyncio
import re
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
    async def login(cls, port: int, user: str) -> "Imap":
        """Connects and logs in."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 << 20)
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

    async def close(self) -> None:
        """Logs out."""
        await self.ask("LOGOUT")
        self._writer.close()


async def deliver(port: int, greeting: str, recipient: str, letters: Sequence[bytes]) -> int:
    """One session that delivers letters one after another over SMTP or LMTP; answers how many were taken.

    Envelope commands are pipelined, as an MTA does it (RFC 2920 §3.1).
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _reply(reader)
    writer.write(f"{greeting} bench.test\r\n".encode())
    await _reply(reader)
    taken = 0
    envelope = f"MAIL FROM:<sender@sender.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode()
    for letter in letters:
        writer.write(envelope)
        for _ in range(3):
            await _reply(reader)
        writer.write(letter + b".\r\n")
        taken += (await _reply(reader)).startswith(b"250")
    writer.write(b"QUIT\r\n")
    await _reply(reader)
    writer.close()
    return taken


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while True:
        line = await reader.readline()
        if line[3:4] != b"-":
            if line[:1] not in b"23" or not line:
                raise RuntimeError(f"refused: {line!r}")
            return line
