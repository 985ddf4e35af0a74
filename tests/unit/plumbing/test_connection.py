"""Connections over real sockets, plain and with TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.plumbing.net.connection import HIGH_WATER, READ_AHEAD, TLS_OCTETS, Connection
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.net.tls import TlsContext

Handler = Callable[[Connection], Awaitable[None]]
BOUND = 20.0


@asynccontextmanager
async def served(
    handler: Handler, tls: TlsContext | None = None, trust: Path | None = None, limits: Limits | None = None
) -> AsyncIterator[tuple[Listener, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A listener with a handler and one client of it; with trust, TLS from the first octet."""
    listener = Listener(
        "127.0.0.1", 0, handler, tls=tls, implicit_tls=trust is not None, limits=limits or Limits()
    )
    async with listener:
        context = ssl.create_default_context(cafile=trust) if trust else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, ssl=context, server_hostname="localhost" if context else None
        )
        try:
            async with asyncio.timeout(BOUND):
                yield listener, reader, writer
        finally:
            writer.transport.abort()


async def echo(connection: Connection) -> None:
    while data := await connection.read():
        connection.write(data)
        await connection.drain()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_octets_come_back_as_they_went_in(is_tls: bool, tls: TlsContext, certificate: Path) -> None:
    """A megabyte, with the client reading meanwhile."""
    sent = bytes(range(256)) * 4096
    async with served(echo, tls, certificate if is_tls else None) as (_, reader, writer):
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent


async def test_octets_in_plain_text_behind_start_tls_are_dropped(tls: TlsContext, certificate: Path) -> None:
    """CVE-2011-0411: what was injected before the handshake is never read."""
    seen: list[bytes] = []
    command_came = asyncio.Event()

    async def serve(connection: Connection) -> None:
        assert await connection.read() == b"STLS\r\n"
        command_came.set()
        connection.unread(await connection.read())
        assert connection.buffered() == len(b"DELE 1\r\n")
        await connection.start_tls(b"+OK\r\n")
        assert connection.is_tls
        seen.append(await connection.read())
        connection.write(seen[0])

    async with served(serve, tls) as (_, reader, writer):
        writer.write(b"STLS\r\n")
        await command_came.wait()
        writer.write(b"DELE 1\r\n")
        assert await reader.readline() == b"+OK\r\n"
        await writer.start_tls(ssl.create_default_context(cafile=certificate), server_hostname="localhost")
        writer.write(b"NOOP\r\n")
        assert await reader.readline() == b"NOOP\r\n"
        assert seen == [b"NOOP\r\n"]


async def test_a_handshake_that_is_none_ends_the_connection(tls: TlsContext) -> None:
    """Plain text where a ClientHello belongs."""

    async def serve(connection: Connection) -> None:
        await connection.read()
        await connection.start_tls(b"+OK\r\n")

    async with served(serve, tls) as (listener, reader, writer):
        writer.write(b"STLS\r\n")
        assert await reader.readline() == b"+OK\r\n"
        writer.write(b"this is no TLS at all\r\n" * 10)
        await ended(reader)
        await all_gone(listener)


async def ended(reader: asyncio.StreamReader) -> None:
    """Waits for the server's end, a reset included."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        return


async def all_gone(listener: Listener) -> None:
    while listener.connections:  # noqa: ASYNC110 what ends is not ours to signal
        await asyncio.sleep(0.01)


async def test_a_peer_that_floods_is_paused() -> None:
    """Reading stops soon after READ_AHEAD octets wait unread."""
    release = asyncio.Event()
    held: list[int] = []

    async def serve(connection: Connection) -> None:
        await release.wait()
        held.append(connection.buffered())
        total = 0
        while data := await connection.read():
            assert len(data) <= READ_AHEAD
            total += len(data)
        held.append(total)
        connection.write(b"done\r\n")

    async with served(serve) as (_, reader, writer):
        writer.transport.set_write_buffer_limits(high=65536)
        flood = asyncio.create_task(write_all(writer, 20 * 1024 * 1024))
        stalled = 0
        while stalled < 20:
            stalled = stalled + 1 if writer.transport.get_write_buffer_size() else 0
            await asyncio.sleep(0.01)
        assert not flood.done()
        release.set()
        await flood
        writer.write_eof()
        assert await reader.readline() == b"done\r\n"
        assert held[0] <= READ_AHEAD + 256 * 1024
        assert held[1] == 20 * 1024 * 1024


async def write_all(writer: asyncio.StreamWriter, octets: int) -> None:
    for _ in range(octets // 65536):
        writer.write(b"x" * 65536)
        await writer.drain()


@pytest.mark.parametrize("is_tls", [False, True])
async def test_a_writer_waits_for_a_peer_that_does_not_read(
    is_tls: bool, tls: TlsContext, certificate: Path
) -> None:
    """drain() returns only as the peer takes octets, so memory stays flat; then all of it arrives."""
    written: list[int] = [0]

    async def serve(connection: Connection) -> None:
        for _ in range(400):
            connection.write(b"x" * 65536)
            written[0] += 65536
            await connection.drain()

    async with served(serve, tls, certificate if is_tls else None) as (listener, reader, _):
        before = -1
        while before != written[0] or not written[0]:
            before = written[0]
            await asyncio.sleep(0.2)
        assert written[0] < 400 * 65536
        (connection,) = listener.connections
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() <= HIGH_WATER + 2 * 65536
        assert len(await reader.readexactly(400 * 65536)) == 400 * 65536


async def test_a_reset_wakes_reader_and_writer() -> None:
    """Both ends are normal: read answers b"", drain raises."""
    outcome: list[object] = []
    done = asyncio.Event()

    async def serve(connection: Connection) -> None:
        connection.write(b"x" * 64 * 1024 * 1024)
        try:
            await connection.drain()
        except ConnectionResetError as error:
            outcome.append(type(error))
        outcome.append(await connection.read())
        done.set()

    async with served(serve) as (_, reader, writer):
        await reader.readexactly(1)
        writer.transport.abort()
        await done.wait()
        assert outcome == [ConnectionResetError, b""]


async def test_a_half_closed_peer_gets_its_answers() -> None:
    """The client that sends everything and shuts its side."""

    async def serve(connection: Connection) -> None:
        data = b""
        while more := await connection.read():
            data += more
        connection.write(data.upper())

    async with served(serve) as (_, reader, writer):
        writer.write(b"quit\r\n")
        writer.write_eof()
        assert await reader.read() == b"QUIT\r\n"


async def test_a_silent_peer_runs_out_of_time_and_may_go_on() -> None:
    """TimeoutError leaves the connection as it is; a later deadline does not end an earlier wait."""

    async def serve(connection: Connection) -> None:
        connection.unread(b"x")
        await connection.read(timeout=1000)
        with pytest.raises(TimeoutError):
            await connection.read(timeout=0.01)
        connection.write(b"silent\r\n")
        connection.write(await connection.read(timeout=1000))

    async with served(serve) as (_, reader, writer):
        assert await reader.readline() == b"silent\r\n"
        writer.write(b"late\r\n")
        assert await reader.readline() == b"late\r\n"


async def test_a_last_reply_reaches_a_peer_that_still_talks() -> None:
    """Octets unread at the close must not turn it into a reset that overtakes the reply."""

    async def serve(connection: Connection) -> None:
        while connection.buffered() < READ_AHEAD:  # noqa: ASYNC110 nobody may read meanwhile
            await asyncio.sleep(0.01)
        connection.write(b"421 enough\r\n")

    async with served(serve) as (_, reader, writer):
        writer.write(b"x" * 300_000)
        assert await reader.readline() == b"421 enough\r\n"


async def test_a_handler_that_fails_loses_only_its_own_connection(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its traceback is logged; others go on."""

    async def serve(connection: Connection) -> None:
        if await connection.read() == b"fail":
            raise LookupError("a bug of ours")
        connection.write(b"fine\r\n")

    async with served(serve) as (listener, reader, writer):
        writer.write(b"fail")
        await ended(reader)
        other, other_writer = await asyncio.open_connection("127.0.0.1", listener.port)
        other_writer.write(b"work")
        assert await other.readline() == b"fine\r\n"
        other_writer.close()
    output = capsys.readouterr()
    assert "a bug of ours" in output.out + output.err


async def test_over_tls_little_is_put_into_the_buffer_at_a_time(
    tls: TlsContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps the size of the most that it ever held: what was large once would be paid for as long as one idles."""
    sent = bytes(range(256)) * 4096
    sizes: list[int] = []
    held: list[int] = []
    write = Connection.write

    def noting(connection: Connection, octets: bytes | memoryview) -> None:
        write(connection, octets)
        assert connection._transport is not None
        sizes.append(len(octets))
        held.append(connection._transport.get_write_buffer_size())

    async def serve(connection: Connection) -> None:
        await connection.write_out(sent)

    monkeypatch.setattr(Connection, "write", noting)
    async with served(serve, tls, certificate) as (_, reader, _writer):
        assert await reader.readexactly(len(sent)) == sent
    assert max(sizes) <= TLS_OCTETS
    assert max(held) <= 3 * TLS_OCTETS
