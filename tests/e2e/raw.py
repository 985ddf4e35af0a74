"""An IMAP client that says exactly what it is told, for what no library would send.

The rule: it waits for nothing but the lines that it is asked to read, so that a test decides when a socket is read.
"""

import itertools
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.system import PATIENCE

_LITERAL = re.compile(rb"\{(\d+)\}\Z")


class Raw:
    """One connection; `peer` is its socket."""

    def __init__(self, port: int) -> None:
        self.peer: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._file = self.peer.makefile("rb")
        self._numbers = itertools.count(1)
        self.greeting = self.line()

    def send(self, octets: bytes) -> None:
        """Sends these octets and nothing else."""
        self.peer.sendall(octets)

    def line(self) -> bytes:
        """The next line with its literals, without its end; empty once the server has closed."""
        pieces = [self._file.readline().removesuffix(b"\r\n")]
        while mark := _LITERAL.search(pieces[-1][-24:]):
            pieces += b"\r\n", self._file.read(int(mark[1])), self._file.readline().removesuffix(b"\r\n")
        return b"".join(pieces)

    def until(self, start: bytes) -> list[bytes]:
        """The lines up to the first one that starts so."""
        lines = [self.line()]
        while not lines[-1].startswith(start):
            assert lines[-1], lines
            lines.append(self.line())
        return lines

    def ask(self, command: bytes) -> list[bytes]:
        """Sends a command with a tag of its own; its answers, the tagged one last and without the tag."""
        tag = b"t%d" % next(self._numbers)
        self.send(tag + b" " + command + b"\r\n")
        *answers, last = self.until(tag + b" ")
        return [*answers, last.removeprefix(tag + b" ")]

    def last(self, command: bytes) -> bytes:
        """The tagged answer alone."""
        return self.ask(command)[-1]

    def log_in(self, login: str, password: str) -> None:
        """The password has nothing to be escaped."""
        answer = self.last(b'LOGIN "%b" "%b"' % (login.encode(), password.encode()))
        assert answer.startswith(b"OK"), answer

    def start_tls(self) -> None:
        """Goes over to TLS at once, whatever the certificate; nothing that came before it may be left to read."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._file.close()
        self.peer = context.wrap_socket(self.peer)
        self._file = self.peer.makefile("rb")

    def append(self, mailbox: bytes, message: bytes) -> None:
        """Without waiting for the `+`."""
        answer = self.last(b"APPEND %b {%d+}\r\n%b" % (mailbox, len(message), message))
        assert answer.startswith(b"OK"), answer

    def close(self) -> None:
        """Without a word."""
        self._file.close()
        self.peer.close()


@contextmanager
def connected(port: int) -> Iterator[Raw]:
    """A client that is not logged in."""
    client = Raw(port)
    try:
        yield client
    finally:
        client.close()
