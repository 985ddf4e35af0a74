"""How answers leave: gathered, in order, and no faster than the client takes them.

The rule: whoever yields answers waits here when the client does not read, so that nothing is read from the store that
cannot be sent yet; memory stays flat.
"""

from __future__ import annotations

import asyncio

from services.mail.imap.responses import Response
from services.plumbing.net.connection import Connection

GATHERED = 64 * 1024


class Writer:
    """The way out of one connection."""

    __slots__ = ("_connection", "_parts", "_size")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0

    async def write(self, response: Response) -> None:
        """Adds an answer; what was gathered leaves when it is enough for a few packets, and others have their turn."""
        self.add(response)
        if self._size >= GATHERED:
            await self.flush()
            await asyncio.sleep(0)

    def add(self, response: Response) -> None:
        """Adds an answer that is short, and waits for nobody."""
        octets = response.render()
        self._parts.append(octets)
        self._size += len(octets)

    async def flush(self) -> None:
        """Sends what was gathered, and waits while the socket is full. Raises ConnectionResetError."""
        await self._connection.write_out(self._gathered())

    def push(self) -> None:
        """Hands what was gathered to the connection, which sends it even if it is closed now."""
        if self._parts:
            self._connection.write(self._gathered())

    def _gathered(self) -> bytes:
        parts, self._parts, self._size = self._parts, [], 0
        return parts[0] if len(parts) == 1 else b"".join(parts)
