"""What one client sends, piece by piece and each within its time: commands, raw lines, APPEND's message.

The rule: octets are waited for only here, after every answer has left; so whenever the connection is read, the
session's token says what the client was told. Whatever is wrong with a command, the next one is found where the client
put it, or the connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from services.imap.session.state import SessionState
from services.imap.session.writer import Writer
from services.mail.errors import ProtocolError
from services.mail.imap import framing
from services.mail.imap.framing import Framing, MessageStart
from services.mail.imap.responses import Continuation
from services.plumbing.net.connection import Connection

if TYPE_CHECKING:
    from services.imap.door import Door

KEEPS_FLAGS_SECONDS: Final = 60.0


class Ended(Exception):
    """The conversation is over: `farewell` is said where the client can still hear it, behind its code."""

    def __init__(self, farewell: str = "", code: str = "") -> None:
        super().__init__(farewell)
        self.farewell = farewell
        self.code = code


class Incoming:
    """The way in of one connection."""

    def __init__(
        self, door: Door, connection: Connection, framing: Framing, state: SessionState, writer: Writer
    ) -> None:
        self._door = door
        self._connection = connection
        self._state = state
        self._writer = writer
        self._framing = framing
        self._message: MessageStart | None = None
        self._message_left = False
        self._is_asked_to_end = False

    async def event(self) -> framing.Event:
        """The next event; answers leave before octets are waited for. Raises Ended, TimeoutError."""
        while (event := self._framing.next_event()) is None:
            await self._receive()
        if isinstance(event, framing.Refused) and event.fatal:
            raise Ended(event.text, "TOOBIG")
        if isinstance(event, MessageStart):
            self._message = event
        return event

    async def line(self, limit: int) -> bytes:
        """One raw line, which AUTHENTICATE asks for. Raises Ended, TimeoutError."""
        while (line := self.next_line(limit)) is None:
            await self._receive()
        return line

    def next_line(self, limit: int) -> bytes | None:
        """One raw line of those octets that are here, or None. Raises Ended for a longer one."""
        try:
            return self._framing.next_line(limit)
        except ValueError:
            raise Ended("Line too long") from None

    async def octets_or(self, changed: asyncio.Event, seconds: float) -> None:
        """Waits for octets or for a change, and no longer than this. Raises Ended."""
        await self._writer.flush()
        reading = asyncio.ensure_future(self._connection.read())
        waiting = asyncio.ensure_future(changed.wait())
        try:
            await asyncio.wait((reading, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                self._take(reading.result())
        finally:
            reading.cancel()
            waiting.cancel()
            await asyncio.wait((reading, waiting))  # a connection has one reader

    def _take(self, octets: bytes) -> None:
        """Takes what the socket gave; nothing is the end of the stream. Raises Ended."""
        if not octets:
            raise Ended(self._reason)
        self._framing.receive(octets)

    async def message(self) -> AsyncIterator[bytes]:
        """The octets of APPEND's message, which the client is asked for now. Raises ProtocolError for a bad end.

        The last octets come only when the command has ended as it should, so that nobody stores a message before.
        """
        assert self._message is not None
        synchronizing, self._message = self._message.synchronizing, None
        self._framing.accept()
        self._message_left = True
        if synchronizing:
            await self._writer.write(Continuation())
            await self._writer.flush()
        last = b""
        while isinstance(event := await self.event(), framing.MessageChunk):
            if last:
                yield last
            last = event.octets
        self._message_left = False
        if isinstance(event, framing.Refused):
            raise ProtocolError(event.text)
        if not isinstance(event, framing.MessageEnd) or event.rest:
            raise ProtocolError("APPEND takes one message")
        if last:
            yield last

    async def pass_message(self) -> None:
        """Reads past what a refused APPEND still sends."""
        if self._message is not None:
            self._message = None
            self._framing.refuse()
        while self._message_left:
            self._message_left = isinstance(await self.event(), framing.MessageChunk)

    def widen(self, message_octets: int) -> None:
        """The budgets of a client that has logged in."""
        self._framing.limits = self._framing.limits.logged_in(message_octets)

    def forget(self) -> None:
        """Throws away what was received and not yet understood (CVE-2011-0411)."""
        self._framing.discard()

    def ask_to_end(self) -> None:
        """Ends the conversation behind the running command, since an operator wants it so."""
        self._is_asked_to_end = True
        self._connection.end_reading()

    async def _receive(self) -> None:
        await self._writer.flush()
        if self._door.stopping.is_set() or self._is_asked_to_end:
            raise Ended(self._reason)
        self._take(await self._read(self._door.settings.idle_seconds))

    async def _read(self, seconds: float) -> bytes:
        """The next octets; what only saves time is given up where they take a while."""
        selected = self._state.selected
        if selected is not None and selected.view.flags.are_loaded and seconds > KEEPS_FLAGS_SECONDS:
            try:
                return await self._connection.read(KEEPS_FLAGS_SECONDS)
            except TimeoutError:
                selected.view.flags.drop()
                seconds -= KEEPS_FLAGS_SECONDS
        return await self._connection.read(seconds)

    @property
    def _reason(self) -> str:
        """Why the end of the stream is ours; empty where it is the client's."""
        if self._door.stopping.is_set():
            return "Server is stopping"
        return "The session was ended by an operator" if self._is_asked_to_end else ""
