"""One connection: octets in, octets out, over plain TCP or TLS.

Rule: memory stays flat whatever the peer does. Reading pauses while more than READ_AHEAD octets wait unread,
and a writer that drains waits while more than HIGH_WATER octets wait unsent. There is one reader; any task
may write.
"""

import asyncio
import math
import ssl
from typing import cast

from services.plumbing.net.deadlines import Deadlines
from services.plumbing.net.networks import is_loopback
from services.plumbing.net.tls import ServerContext, TlsContext

READ_AHEAD = 64 * 1024
HIGH_WATER = 256 * 1024
LOW_WATER = 64 * 1024
# Over TLS, octets pass through a buffer that never shrinks: little is put into it at a time.
TLS_OCTETS = 16 * 1024
HANDSHAKE_SECONDS = 30.0
STALL_SECONDS = 1800.0
LINGER_OCTETS = 16 * 1024 * 1024


class Connection(asyncio.Protocol):
    """A peer at the other end; made by a listener, which closes it when the handler returns.

    peer, local: (address, port). id: names the session in every log line. is_tls: whether what is written is
    encrypted. end_point: what a login may be bound to, b"" without TLS (RFC 5929 §4). is_relayed: whether a proxy is
    between that is elsewhere, or does not know whose connection it is.
    """

    __slots__ = (
        "_deadlines", "_ended", "_gone", "_lost", "_reader", "_reading_paused", "_received", "_tls",
        "_transport", "_writable", "_writing_paused", "due", "end_point", "held_under", "id", "is_relayed",
        "is_tls", "local", "peer",
    )  # fmt: skip

    def __init__(
        self,
        peer: tuple[str, int],
        local: tuple[str, int],
        deadlines: Deadlines,
        tls: TlsContext | None,
        id_: str = "",
    ) -> None:
        self.peer = peer
        self.local = local
        self.id = id_
        self.is_tls = False
        self.is_relayed = False
        self.end_point = b""
        self.due = math.inf
        self.held_under = math.inf
        self._deadlines = deadlines
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._received: bytes | bytearray = b""
        self._reader: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._ended = False
        self._lost = False

    @property
    def has_tls(self) -> bool:
        """Whether start_tls can be offered."""
        return self._tls is not None and not self.is_tls

    @property
    def is_local(self) -> bool:
        """Whether the peer is on this machine, so that a password needs no TLS."""
        return not self.is_relayed and is_loopback(self.peer[0])

    @property
    def is_lost(self) -> bool:
        """Whether the peer is gone, so that nothing written reaches it."""
        return self._lost

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes from the peer; what is written may still reach it."""
        return self._ended

    # Reading

    async def read(self, timeout: float | None = None) -> bytes:
        """The next octets as they came, at most 64 KB; b"" at the end of the stream, however it ended.

        timeout: seconds, kept to about a second.
        Raises TimeoutError, and leaves the connection as it is.
        """
        if not self._received and not self._ended:
            if self._reader is not None:
                raise RuntimeError("two tasks read one connection")
            self._reader = asyncio.get_running_loop().create_future()
            if timeout is not None:
                self.due = self._deadlines.now() + timeout
                self._deadlines.watch(self)
            try:
                await self._reader
            finally:
                self._reader = None
                self.due = math.inf
        return self._take()

    def _take(self) -> bytes:
        received = self._received
        if len(received) <= READ_AHEAD:
            self._received = b""
        else:
            rest = received if isinstance(received, bytearray) else bytearray(received)
            received = bytes(memoryview(rest)[:READ_AHEAD])
            del rest[:READ_AHEAD]
            self._received = rest
        if self._reading_paused and len(self._received) <= READ_AHEAD:
            self._reading_paused = False
            if not self._lost and self._transport is not None:
                self._transport.resume_reading()
        return received if isinstance(received, bytes) else bytes(received)

    def unread(self, data: bytes) -> None:
        """Puts octets back, to be the first that the next read returns."""
        self._received = data + self._received if self._received else data

    def buffered(self) -> int:
        """How many octets were received and not yet read."""
        return len(self._received)

    def end_reading(self) -> None:
        """Makes read() answer b"" once what was received is used up: so sessions learn that the process stops."""
        self._ended = True
        self._wake_reader()

    # Writing

    def write(self, data: bytes | memoryview) -> None:
        """Queues octets; after the peer has gone they are dropped."""
        if not self._lost and self._transport is not None:
            self._transport.write(data)

    async def write_out(self, data: bytes) -> None:
        """Queues octets, over TLS a few at a time, and waits as drain does. Raises ConnectionResetError."""
        if not self.is_tls or len(data) <= TLS_OCTETS:
            if data:
                self.write(data)
        else:
            octets = memoryview(data)
            for start in range(0, len(data), TLS_OCTETS):
                self.write(octets[start : start + TLS_OCTETS])
                await self.drain()
        await self.drain()

    async def drain(self, timeout: float = STALL_SECONDS) -> None:
        """Waits until the socket's buffer is below its high-water mark.

        timeout: seconds after which a peer that takes nothing is dropped.
        Raises ConnectionResetError if the peer is gone.
        """
        if self._writing_paused and not self._lost:
            if self._writable is None:
                self._writable = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.shield(self._writable)
            except TimeoutError:
                self.abort()
                raise ConnectionResetError("the peer takes nothing") from None
        if self._lost:
            raise ConnectionResetError("the peer is gone")

    # TLS

    async def start_tls(self, reply: bytes = b"") -> None:
        """Goes over to TLS: drops what came before, says reply in plain text, shakes hands (CVE-2011-0411).

        Raises ConnectionResetError if the handshake fails or takes over 30 seconds; the connection is then
        closed.
        """
        await self.drain()
        transport = self._transport
        if self._tls is None or self.is_tls or transport is None:
            raise RuntimeError("no certificate, or TLS already runs")
        transport.pause_reading()
        self._received = b""
        self._reading_paused = False
        transport.write(reply)
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(
                transport,
                self,
                self._tls.current(),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, asyncio.CancelledError) as error:
            self.connection_lost(None)
            transport.abort()
            if not isinstance(error, OSError):
                raise
            raise ConnectionResetError(f"TLS handshake failed: {describe(error)}") from None
        if secure is None or self._lost:
            raise ConnectionResetError("the peer is gone")
        self.connection_made(secure)

    # The end

    async def close(self, grace: float = 10.0) -> None:
        """Sends what is queued, then closes; a peer that has not taken it within grace seconds is cut off."""
        transport = self._transport
        if self._lost or transport is None:
            return
        self._gone = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(grace):
                if self._received and not self.is_tls and transport.can_write_eof():
                    # Closing while octets wait unread would send a reset that overtakes our last reply.
                    transport.write_eof()
                    await self._discard_input()
                transport.close()
                await self._gone
        except TimeoutError:
            self.abort()

    async def _discard_input(self) -> None:
        discarded = 0
        try:
            while discarded < LINGER_OCTETS and (data := await self.read(timeout=2.0)):
                discarded += len(data)
        except TimeoutError:
            return

    def abort(self) -> None:
        """Closes at once; what is queued is lost."""
        if not self._lost and self._transport is not None:
            self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        context = transport.get_extra_info("sslcontext")
        self.is_tls = context is not None
        self.end_point = context.end_point if isinstance(context, ServerContext) else b""
        high, low = (TLS_OCTETS, TLS_OCTETS // 4) if self.is_tls else (HIGH_WATER, LOW_WATER)
        self._transport.set_write_buffer_limits(high=high, low=low)

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._received = data
        else:
            if isinstance(self._received, bytes):
                self._received = bytearray(self._received)
            self._received += data
        if len(self._received) > READ_AHEAD and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self.end_reading()
        # A half-closed plain connection still gets its answers; TLS cannot stay half open.
        return not self.is_tls

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake_writers()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the event loop's signature
        self._lost = True
        self._deadlines.forget(self)
        self.end_reading()
        self._wake_writers()
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def expire(self) -> None:
        """The wheel's call: the read that waits has run out of time."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_exception(TimeoutError())

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writers(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None


def describe(error: OSError) -> str:
    """The short reason of a failed handshake, fit for a log line."""
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return reason or type(error).__name__
