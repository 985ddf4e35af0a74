"""The PROXY header: what is read from it, what is refused, and that nothing behind it is touched."""

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.plumbing.failures import SettingsWrong
from services.plumbing.net.connection import Connection
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.net.networks import Networks
from services.plumbing.net.proxy import BLOCK_OCTETS, SIGNATURE, HeaderReader, HeaderWrong, Source
from services.plumbing.net.tls import TlsContext
from services.pop3.settings import Pop3Settings

LOOPBACK = Networks.read("127.0.0.0/8")
V4 = socket.inet_aton("192.0.2.1") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 56324, 25)
V6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::2")
    + struct.pack("!HH", 56324, 25)
)
CLOAKED = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1") + V6[16:]
NOOP = b"\x04\x00\x02ab"
LINE = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\r\n"


def block(kind: int, content: bytes, command: int = 0x21, length: int | None = None) -> bytes:
    """A header of version 2."""
    return (
        SIGNATURE + struct.pack("!BBH", command, kind, len(content) if length is None else length) + content
    )


GOOD: dict[bytes, Source] = {
    LINE: ("192.0.2.1", 56324),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": ("255.255.255.255", 65535),
    b"PROXY TCP4 192.0.2.1 198.51.100.1 0 25\r\n": ("192.0.2.1", 0),
    b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 25\r\n": ("2001:db8::1", 56324),
    b"PROXY TCP6 2001:0DB8:0:0:0:0:0:0001 ::1 56324 25\r\n": ("2001:db8::1", 56324),
    b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 56324 25\r\n": ("192.0.2.1", 56324),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n": None,
    b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n": None,
    block(0x11, V4): ("192.0.2.1", 56324),
    block(0x11, V4 + NOOP + NOOP): ("192.0.2.1", 56324),
    block(0x11, V4 + b"\xea\x00\x00"): ("192.0.2.1", 56324),
    block(0x11, V4 + b"\x22\x3f\xf1" + bytes(BLOCK_OCTETS - len(V4) - 3)): ("192.0.2.1", 56324),
    block(0x21, V6): ("2001:db8::1", 56324),
    block(0x21, V6 + NOOP): ("2001:db8::1", 56324),
    block(0x21, CLOAKED): ("192.0.2.1", 56324),
    block(0x31, b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")): None,
    block(0x00, b""): None,
    block(0x00, NOOP): None,
    block(0x00, b"", command=0x20): None,
    block(0x11, V4 + NOOP, command=0x20): None,
    block(0xFF, b"anything", command=0x20): None,
}

BAD: dict[str, bytes] = {
    "another protocol": b"EHLO example.net\r\n",
    "a client's TLS handshake": b"\x16\x03\x01\x02\x00\x01",
    "half a signature, then something else": SIGNATURE[:8] + b"EHLO",
    "in small letters": b"proxy UNKNOWN\r\n",
    "a family that is none": b"PROXY TCP5 192.0.2.1 198.51.100.1 56324 25\r\n",
    "a word too few": b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
    "a word too many": b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25 1\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.1 198.51.100.1 56324 25\r\n",
    "the wrong family's address": b"PROXY TCP4 2001:db8::1 2001:db8::2 56324 25\r\n",
    "a wrong destination": b"PROXY TCP4 192.0.2.1 198.51.100 56324 25\r\n",
    "leading noughts in an address": b"PROXY TCP4 192.0.02.1 198.51.100.1 56324 25\r\n",
    "an interface": b"PROXY TCP6 fe80::1%eth0 2001:db8::2 56324 25\r\n",
    "an address that is not ASCII": b"PROXY TCP4 192.0.2.\xb2 198.51.100.1 56324 25\r\n",
    "a port too large": b"PROXY TCP4 192.0.2.1 198.51.100.1 65536 25\r\n",
    "a port with a sign": b"PROXY TCP4 192.0.2.1 198.51.100.1 +1 25\r\n",
    "a port with a leading nought": b"PROXY TCP4 192.0.2.1 198.51.100.1 025 25\r\n",
    "an endless port": b"PROXY TCP4 192.0.2.1 198.51.100.1 " + b"1" * 60 + b" 25\r\n",
    "a bare LF": b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 25\n",
    "a line in the shortest header's place": b"PROXY \r\nPROXY \r\n",
    "a line of 108 octets": b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
    "a line without end": b"PROXY UNKNOWN " + b"f" * 100_000,
    "a command that is none": block(0x11, V4, command=0x22),
    "a version that is none": block(0x11, V4, command=0x11),
    "a datagram": block(0x12, V4),
    "a family that is unknown": block(0x41, V4),
    "a block cut short": block(0x11, V4[:11]),
    "a block of IPv6 cut short": block(0x21, V6[:35]),
    "a Unix block cut short": block(0x31, bytes(215)),
    "an extension without its length": block(0x11, V4 + b"\x04\x00"),
    "an extension beyond the block": block(0x11, V4 + b"\x04\x00\x03ab"),
    "an extension of 65535 octets": block(0x11, V4 + b"\x04\xff\xff"),
    "a block that is too long": block(0x11, b"", length=BLOCK_OCTETS + 1),
    "the longest block": block(0x11, b"", length=65535),
}  # fmt: skip


@pytest.mark.parametrize(("header", "source"), GOOD.items(), ids=range(len(GOOD)))
@pytest.mark.parametrize("behind", [b"", b"EHLO example.net\r\n", LINE, SIGNATURE])
def test_a_header_names_the_client_and_ends_where_it_ends(
    header: bytes, source: Source, behind: bytes
) -> None:
    """§2.1, §2.2: whatever follows is the client's own."""
    reader = HeaderReader()
    assert reader.feed(header + behind) == len(header)
    assert (reader.is_done, reader.source) == (True, source)
    assert reader.feed(behind) == 0


@pytest.mark.parametrize("header", BAD.values(), ids=BAD.keys())
def test_what_is_no_header_is_refused(header: bytes) -> None:
    """§4: whoever cannot be understood is not served."""
    reader = HeaderReader()
    with pytest.raises(HeaderWrong):
        reader.feed(header)


@pytest.mark.parametrize("header", GOOD, ids=range(len(GOOD)))
def test_a_header_is_not_done_before_its_last_octet(header: bytes) -> None:
    """A piece of one is neither taken for the whole nor refused."""
    reader = HeaderReader()
    for start in range(len(header)):
        assert not reader.is_done
        assert reader.feed(header[start : start + 1]) == 1
    assert (reader.is_done, reader.source) == (True, GOOD[header])


def outcome(pieces: list[bytes]) -> tuple[object, int]:
    """What a stream in pieces comes to, and how much of it was taken."""
    reader, taken = HeaderReader(), 0
    try:
        for piece in pieces:
            taken += reader.feed(piece)
    except HeaderWrong:
        return HeaderWrong, 0
    return (reader.source if reader.is_done else "more"), taken


HEADERS = st.sampled_from([*GOOD, *(header[:300] for header in BAD.values())])
OCTETS = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda octets: SIGNATURE + octets),
    st.text("PROXYTCUNKW46 .:%0123456789abcdef\r\n", max_size=120).map(
        lambda text: b"PROXY " + text.encode()
    ),
    st.tuples(HEADERS, st.integers(0, 300), st.binary(max_size=4)).map(
        lambda edit: edit[0][: edit[1]] + edit[2] + edit[0][edit[1] + len(edit[2]) :]
    ),
)


@given(stream=OCTETS, cuts=st.lists(st.integers(0, 300)))
def test_pieces_and_garbage_change_nothing(stream: bytes, cuts: list[int]) -> None:
    """However it is cut, a stream is read as in one piece; nothing but HeaderWrong comes of it."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    assert outcome(pieces) == outcome([stream])


@given(stream=OCTETS)
def test_what_is_taken_is_bounded(stream: bytes) -> None:
    """A header that goes on for ever is given up."""
    reader, taken = HeaderReader(), 0
    with suppress(HeaderWrong):
        for _ in range(10):
            taken += reader.feed(stream)
        assert taken <= 16 + BLOCK_OCTETS


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "example.net", "10.0.0.0/33", "10.0.0.1;10.0.0.2"])
def test_a_network_that_is_none_stops_the_start(wrong: str) -> None:
    """Whom to believe is never guessed."""
    with pytest.raises(SettingsWrong, match="RESTANTE_POP3_PROXIES"):
        Pop3Settings.read({"RESTANTE_POP3_PROXIES": f"192.0.2.1,{wrong}"})


async def tell(connection: Connection) -> None:
    """A handler that says who it thinks is there, and what it was sent."""
    line = b""
    while not line.endswith(b"\n") and (data := await connection.read()):
        line += data
    connection.write(f"{connection.peer[0]} {connection.peer[1]} {connection.is_local} ".encode() + line)


def door(tls: TlsContext | None = None, limits: Limits | None = None, **more: float) -> Listener:
    return Listener(
        "127.0.0.1",
        0,
        tell,
        tls=tls,
        implicit_tls=tls is not None,
        limits=limits or Limits(),
        refusal=b"too many\r\n",
        proxies=LOOPBACK,
        **more,  # type: ignore[arg-type]
    )


async def ask(port: int, *pieces: bytes) -> bytes:
    """What the door answers to a header and what follows it, each piece in a segment of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    try:
        return await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


@pytest.mark.parametrize("header", [LINE, block(0x11, V4 + NOOP)])
@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_a_door_sees_the_client_behind_a_proxy(header: bytes, piece: int) -> None:
    """attacks 13: a connection from the proxy is its client's, and so is what comes behind the header."""
    stream = header + b"hello\n"
    async with door() as listener:
        said = await ask(listener.port, *(stream[at : at + piece] for at in range(0, len(stream), piece)))
    assert said == b"192.0.2.1 56324 False hello\n"


@pytest.mark.parametrize("header", [LINE, block(0x21, V6)])
async def test_the_header_comes_before_tls(tls: TlsContext, header: bytes) -> None:
    """§2: it is the first thing on the wire; the handshake begins behind it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with door(tls) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(incoming, outgoing)
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        # In one segment, so that whoever read more than the header would lose the ClientHello.
        writer.write(header + outgoing.read())
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(await reader.read(65536))
        client.write(b"hello\n")
        writer.write(outgoing.read())
        said = b""
        while not said:
            incoming.write(await reader.read(65536))
            with suppress(ssl.SSLWantReadError):
                said = client.read()
        writer.close()
    assert said == (b"192.0.2.1" if header is LINE else b"2001:db8::1") + b" 56324 False hello\n"


@pytest.mark.parametrize(
    ("header", "is_local"),
    [
        (b"PROXY UNKNOWN\r\n", "False"),
        (block(0x00, b"", command=0x20), "False"),
        (b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "True"),
    ],
)
async def test_only_who_is_told_to_be_here_is_here(header: bytes, is_local: str) -> None:
    """A proxy on this machine that does not know its client gives it no right to send passwords in plain text."""
    async with door() as listener:
        assert (await ask(listener.port, header, b"hello\n")).decode().split()[2] == is_local


@pytest.mark.parametrize("header", [b"", *BAD.values()], ids=["nothing", *BAD])
async def test_a_proxy_must_say_its_header(header: bytes) -> None:
    """attacks 13: from a trusted network it is required; without a whole one nobody is let in."""
    limits = Limits()
    async with door(limits=limits, header_seconds=0.2) as listener:
        said = b""
        with suppress(ConnectionResetError):
            said = await ask(listener.port, header)
        assert said == b""
    assert limits.open == 0


async def test_a_header_that_drips_is_given_up() -> None:
    """The time is for all of the header, not for each octet."""
    async with door(header_seconds=0.2) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        ended = asyncio.ensure_future(reader.read())
        for octet in b"PROXY UNKNOWN " + b"f" * 60:
            if not ended.done():
                writer.write(bytes((octet,)))
                await asyncio.wait([ended], timeout=0.02)
        with suppress(ConnectionResetError):
            assert await ended == b""
        writer.close()


async def test_a_stop_does_not_wait_for_a_header() -> None:
    """Balancers keep connections ready; whoever is not served yet has nothing to lose."""
    limits = Limits()
    async with door(limits=limits, header_seconds=3600) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        while not limits.open:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await listener.stop(grace=3600)
        assert await reader.read() == b""
        writer.close()
    assert limits.open == 0


async def test_nobody_else_may_say_a_header() -> None:
    """attacks 13: from elsewhere it is no header, and what it says is not believed."""
    async with Listener(
        "127.0.0.1",
        0,
        tell,
        tls=None,
        implicit_tls=False,
        limits=Limits(),
        proxies=Networks.read("10.0.0.0/8"),
    ) as listener:
        said = await ask(listener.port, LINE)
    assert said.startswith(b"127.0.0.1 ")
    assert said.endswith(LINE)


@pytest.mark.parametrize(
    ("networks", "address", "answer"),
    [
        ("", "192.0.2.1", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.1, 2001:db8::/32", "2001:db8::7", True),
        ("192.0.2.0/24", "::ffff:192.0.2.7", True),
        ("fe80::/10", "fe80::1%eth0", True),
    ],
)
def test_a_network_holds_its_addresses(networks: str, address: str, answer: bool) -> None:
    """Whatever family the socket is of."""
    assert Networks.read(networks).holds(address) is answer
