"""A client of any of the doors, line by line, from an address of its own."""

import socket
import ssl
from typing import Self

from tests.e2e.system import PATIENCE

DOORS = {
    "smtp": ("smtp", "port"),
    "lmtp": ("smtp", "lmtp_port"),
    "imap": ("imap", "port"),
    "imaps": ("imap", "tls_port"),
    "pop3": ("pop3", "port"),
    "pop3s": ("pop3", "tls_port"),
}
GREETINGS = {
    "smtp": b"220 ",
    "lmtp": b"220 ",
    "imap": b"* OK ",
    "imaps": b"* OK ",
    "pop3": b"+OK ",
    "pop3s": b"+OK ",
}


class Wire:
    """One connection. source: an address of this machine; first: what is sent before TLS and before the greeting."""

    def __init__(self, port: int, source: str, tls: bool = False, first: bytes = b"") -> None:
        self.peer = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
        self.peer.sendall(first)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.peer = context.wrap_socket(self.peer)
        self.file = self.peer.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.peer.close()

    def line(self) -> bytes:
        """The next line; empty at the end, however it came."""
        try:
            return self.file.readline()
        except ConnectionResetError:
            return b""

    def ask(self, line: str, answer: bytes) -> bytes:
        """Sends a line and reads up to one that begins so."""
        self.peer.sendall(line.encode() + b"\r\n")
        while not (heard := self.line()).startswith(answer):
            assert heard, line
        return heard
