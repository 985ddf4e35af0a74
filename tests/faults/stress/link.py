"""What the front and its workers say to each other: complete commands one way, batches of answers the other.

The rule: a worker says `Waiting` behind each batch of answers, with the token of the session as it is then.
"""

import pickle
import struct
from dataclasses import dataclass

from services.mail.imap.framing import Event

_SIZE = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Begin:
    """The first word of the front. token: of a session that goes on; empty for a new client."""

    peer: tuple[str, int]
    token: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """A raw line."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Replies:
    """Octets for the client."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """All answers have left. taken: events and lines so far; line: the longest line that is waited for, 0 for an event.

    token: empty before login.
    """

    taken: int
    line: int
    token: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the message of the last MessageStart may come."""

    is_accepted: bool


Word = Begin | Event | Line | Replies | Waiting | Verdict


def pack(word: Word) -> bytes:
    """One word, with its size in front."""
    octets = pickle.dumps(word)
    return _SIZE.pack(len(octets)) + octets


class Unpacker:
    """Words out of octets in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, octets: bytes) -> list[Word]:
        """The words that are whole now."""
        self._buffer += octets
        words: list[Word] = []
        while len(self._buffer) >= _SIZE.size:
            end = _SIZE.size + _SIZE.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            words.append(pickle.loads(bytes(self._buffer[_SIZE.size : end])))
            del self._buffer[:end]
        return words
