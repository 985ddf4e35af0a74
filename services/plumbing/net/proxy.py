"""The PROXY protocol, versions 1 and 2: what a proxy says about whose connection this is, before all else.

https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, cited by section. HeaderReader is sans-IO. Rule: not
one octet behind the header is taken; they may be the client's TLS handshake.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Generator
from typing import Final

from services.plumbing.net.networks import plain

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
# §2.1: the longest line with its end.
LINE_OCTETS: Final = 107
# §2.2 allows 64 KB. What is longer than the addresses is TLVs; the largest known is a client's certificate.
BLOCK_OCTETS: Final = 16 * 1024
PEEKED_OCTETS: Final = 4096

# A header is at least that long, in either version: PROXY UNKNOWN, and an empty block.
_SHORTEST: Final = 15
_LOCAL, _PROXY = 0x20, 0x21
# §2.2: by family and transport, the size of the two addresses and of the block's fixed part. Datagrams reach no door.
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_FIXED: Final = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}

Source = tuple[str, int] | None


class HeaderWrong(Exception):
    """What came is no header, or one that nobody may send; the connection cannot be used."""


class HeaderReader:
    """Finds the header's end and reads it.

    source: the client's address and port once is_done; None where the proxy speaks for itself or does not know
    (LOCAL, UNKNOWN, a Unix socket).
    """

    __slots__ = ("_need", "_reading", "_received", "is_done", "source")

    def __init__(self) -> None:
        self.source: Source = None
        self.is_done = False
        self._received = bytearray()
        self._reading = self._read()
        self._need = next(self._reading)

    def feed(self, data: bytes) -> int:
        """Takes what belongs to the header, and says how many octets that was. Raises HeaderWrong."""
        taken = 0
        while not self.is_done and taken < len(data):
            piece = data[taken : taken + self._need]
            self._received += piece
            taken += len(piece)
            self._check_start()
            self._need -= len(piece)
            if not self._need:
                try:
                    self._need = next(self._reading)
                except StopIteration as done:
                    self.source = done.value
                    self.is_done = True
        return taken

    def _check_start(self) -> None:
        """A client that speaks a protocol of its own is told apart at its first octets."""
        start = bytes(self._received[: len(SIGNATURE)])
        if not (SIGNATURE.startswith(start) or start.startswith(b"PROXY ") or b"PROXY ".startswith(start)):
            raise HeaderWrong("does not begin with a PROXY header")

    def _read(self) -> Generator[int, None, Source]:
        """Yields how many octets surely belong to the header still, and returns what it says."""
        yield _SHORTEST
        if self._received.startswith(SIGNATURE):
            yield 16 - _SHORTEST
            version_and_command, kind, length = struct.unpack_from("!BBH", self._received, len(SIGNATURE))
            if length > BLOCK_OCTETS:
                raise HeaderWrong("header too long")
            if length:
                yield length
            return read_block(version_and_command, kind, bytes(self._received[16:]))
        while not self._received.endswith(b"\r\n"):
            if b"\n" in self._received or len(self._received) >= LINE_OCTETS:
                raise HeaderWrong("line too long or badly ended")
            yield 1
        return read_line(bytes(self._received[:-2]))


def read_line(line: bytes) -> Source:
    """§2.1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 25`, without its end. Raises HeaderWrong."""
    words = line.split(b" ")
    if words[:2] == [b"PROXY", b"UNKNOWN"]:
        return None
    if len(words) != 6 or words[0] != b"PROXY" or words[1] not in (b"TCP4", b"TCP6"):
        raise HeaderWrong("line not understood")
    family: type[ipaddress.IPv4Address | ipaddress.IPv6Address]
    family = ipaddress.IPv4Address if words[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        source, _ = (str(family(word.decode("ascii"))) for word in words[2:4])
    except ValueError:
        raise HeaderWrong("address not understood") from None
    if b"%" in line or not all(_is_port(word) for word in words[4:]):
        raise HeaderWrong("address or port not understood")
    return plain(source), int(words[4])


def _is_port(word: bytes) -> bool:
    return word.isdigit() and len(word) <= 5 and int(word) <= 65535 and (word == b"0" or word[:1] != b"0")


def read_block(version_and_command: int, kind: int, block: bytes) -> Source:
    """§2.2: what follows the signature and the length. Raises HeaderWrong."""
    if version_and_command not in (_LOCAL, _PROXY):
        raise HeaderWrong("version or command unknown")
    if version_and_command == _LOCAL:
        return None
    if kind not in _FIXED:
        raise HeaderWrong("family or transport unknown")
    if len(block) < _FIXED[kind]:
        raise HeaderWrong("addresses cut short")
    _skip_extensions(block, _FIXED[kind])
    if kind == _TCP4:
        return socket.inet_ntop(socket.AF_INET, block[:4]), int.from_bytes(block[8:10], "big")
    if kind == _TCP6:
        return plain(socket.inet_ntop(socket.AF_INET6, block[:16])), int.from_bytes(block[32:34], "big")
    return None


def _skip_extensions(block: bytes, start: int) -> None:
    """§2.2: a type, a length and so many octets, up to the block's very end."""
    while start < len(block):
        if len(block) - start < 3:
            raise HeaderWrong("extension cut short")
        start += 3 + int.from_bytes(block[start + 1 : start + 3], "big")
    if start != len(block):
        raise HeaderWrong("extension cut short")


async def read_header(accepted: socket.socket, seconds: float) -> Source:
    """Reads the header, and nothing behind it, from a connection that nobody else reads yet.

    accepted: does not block. seconds: for all of it.
    Raises HeaderWrong; TimeoutError, ConnectionResetError where none came.
    """
    loop = asyncio.get_running_loop()
    reader = HeaderReader()
    is_readable = asyncio.Event()
    loop.add_reader(accepted, is_readable.set)
    try:
        async with asyncio.timeout(seconds):
            while not reader.is_done:
                await is_readable.wait()
                is_readable.clear()
                with contextlib.suppress(BlockingIOError, InterruptedError):
                    seen = accepted.recv(PEEKED_OCTETS, socket.MSG_PEEK)
                    if not seen:
                        raise ConnectionResetError("closed before the end of its PROXY header")
                    accepted.recv(reader.feed(seen))
    finally:
        loop.remove_reader(accepted)
    return reader.source
