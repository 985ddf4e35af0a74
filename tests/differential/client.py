"""A client that sends what it is told, right or wrong, and gives back every reply as it came.

The rule: it understands of a reply only where it ends and whether it is the tagged one or a `+`; it waits for `+` where
a literal asks for that, and sends everything else at once.
"""

import re
import socket
from dataclasses import dataclass, field
from typing import Final, Self

from tests.differential.replies import read_reply

PATIENCE: Final = 10.0

_MARK: Final = re.compile(rb"\{(\d+)(\+?)\}\r\n")


@dataclass(slots=True)
class Answer:
    """What came for one command: the untagged replies, and the tagged one without its tag.

    tagged: b"+" where the command goes on, b"" where the connection ended.
    """

    untagged: list[bytes] = field(default_factory=list)
    tagged: bytes = b""


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.number = 0
        self.greeting = self.reply()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()

    def reply(self) -> bytes:
        """The next reply; empty at the end."""
        try:
            return read_reply(self.stream.readline, self.stream.read)
        except (ConnectionError, TimeoutError):
            return b""

    def send(self, octets: bytes) -> None:
        """Sends octets; whether the other side still listens shows when it answers."""
        try:
            self.socket.sendall(octets)
        except ConnectionError:
            return

    def command(self, octets: bytes) -> Answer:
        """One command (without tag and last line end), with its answer."""
        answer = Answer()
        self.number += 1
        tag = b"t%d" % self.number
        pieces = _pieces(tag + b" " + octets + b"\r\n")
        for place, piece in enumerate(pieces):
            self.send(piece)
            self.collect(tag, answer)
            if answer.tagged != b"+" or place == len(pieces) - 1:
                break
        return answer

    def pipelined(self, commands: list[bytes]) -> list[Answer]:
        """Several commands in one write; none may ask for `+`."""
        first = self.number + 1
        self.number += len(commands)
        self.send(b"".join(b"t%d %b\r\n" % (first + place, each) for place, each in enumerate(commands)))
        answers = [Answer() for _ in commands]
        for place, answer in enumerate(answers):
            self.collect(b"t%d" % (first + place), answer)
        return answers

    def raw(self, octets: bytes) -> Answer:
        """Octets as they are, and a NOOP behind them; what came before the NOOP's own answer."""
        answer = Answer()
        self.send(octets)
        self.number += 1
        tag = b"n%d" % self.number
        self.send(tag + b" NOOP\r\n")
        self.collect(tag, answer)
        return answer

    def go_on(self, octets: bytes) -> Answer:
        """The next line of a command that said `+`."""
        answer = Answer()
        self.send(octets + b"\r\n")
        self.collect(b"t%d" % self.number, answer)
        return answer

    def wait_for(self, word: bytes) -> Answer:
        """Untagged replies up to one that holds a word, while a command idles."""
        answer = Answer(tagged=b"+")
        while reply := self.reply():
            answer.untagged.append(reply)
            if word in reply:
                break
        return answer

    def collect(self, tag: bytes, answer: Answer) -> None:
        """Reads up to a tagged reply or a `+`."""
        answer.tagged = b""
        while reply := self.reply():
            if reply.startswith(tag + b" "):
                answer.tagged = reply[len(tag) + 1 :]
                return
            if reply.startswith(b"+"):
                answer.tagged = b"+"
                return
            answer.untagged.append(reply)


def _pieces(octets: bytes) -> list[bytes]:
    """A command cut behind each synchronizing literal's mark; what a mark holds is not searched for marks."""
    pieces, start, place = [], 0, 0
    while found := _MARK.search(octets, place):
        place = found.end() + int(found[1])
        if not found[2]:
            pieces.append(octets[start : found.end()])
            start = found.end()
    return [*pieces, octets[start:]]
