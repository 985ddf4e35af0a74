"""One connection: whole responses in, octets out, and a log of the last lines of both.

The rule: a read that is given up loses nothing, so a client may listen for a moment and go on.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

from tests.faults.stress.replies import Reply, parse

KEPT_LINES: Final = 40
_LITERAL: Final = re.compile(rb"\{(\d+)\}\Z")
_LONGEST: Final = 400


class Gone(Exception):
    """The connection ended."""


class Wire:
    """A connection to an IMAP server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = bytearray()
        self._scanned = 0
        self._log: deque[str] = deque(maxlen=KEPT_LINES)

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connects. Raises Gone."""
        try:
            return cls(*await asyncio.open_connection("127.0.0.1", port))
        except OSError as error:
            raise Gone(str(error)) from None

    @property
    def log(self) -> Sequence[str]:
        """The last lines, oldest first."""
        return list(self._log)

    def note(self, mark: str, octets: bytes) -> None:
        """Adds to the log."""
        text = octets.rstrip(b"\r\n").decode("ascii", "backslashreplace").replace("\r\n", "⏎")
        if len(text) > _LONGEST:
            text = f"{text[:_LONGEST]}… ({len(octets)} octets)"
        if (
            b" FETCH " in octets[:30]
            and self._log
            and "FETCH (" in self._log[-1]
            and len(self._log[-1]) < _LONGEST
        ):
            self._log[-1] += f" ⏎ {text}"
            return
        self._log.append(f"{time.monotonic() % 10_000:9.3f} {mark} {text}")

    async def write(self, octets: bytes) -> None:
        """Sends octets. Raises Gone."""
        for line in octets.split(b"\r\n")[:-1] if octets.count(b"\r\n") < 8 else (octets,):
            self.note("C:", line)
        try:
            self._writer.write(octets)
            await self._writer.drain()
        except OSError as error:
            raise Gone(str(error)) from None

    async def reply(self, seconds: float) -> Reply | None:
        """The next response; None where none came in time. Raises Gone, Violation."""
        while (end := self._end()) is None:
            try:
                async with asyncio.timeout(seconds):
                    octets = await self._reader.read(1 << 18)
            except TimeoutError:
                return None
            except OSError as error:
                raise Gone(str(error)) from None
            if not octets:
                raise Gone("closed by the server")
            self._buffer += octets
        response = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 0
        self.note("S:", response)
        return parse(response)

    def _end(self) -> int | None:
        """Where the first whole response ends, its literals included."""
        while (line_end := self._buffer.find(b"\r\n", self._scanned)) >= 0:
            literal = _LITERAL.search(self._buffer, max(self._scanned, line_end - 24), line_end)
            if literal is None:
                return line_end + 2
            if len(self._buffer) < line_end + 2 + int(literal[1]):
                return None
            self._scanned = line_end + 2 + int(literal[1])
        return None

    def abort(self) -> None:
        """Closes at once."""
        with suppress(OSError):
            self._writer.transport.abort()
