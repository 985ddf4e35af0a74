"""The scanner: octets in, in any chunks, and where each part lies comes out. RFC 2045, RFC 2046.

The rule: every octet is visited a bounded number of times, and what waits for the next chunk is bounded too: a header
up to HEADER_LIMIT, or the beginning of one line. `visited` counts, and a test holds the count against the size.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from services.mail.message import HEADER_LIMIT
from services.mail.mime.boundaries import Boundaries
from services.mail.mime.nodes import Node, encode_parts, render_structure

PARTS_LIMIT: Final = 10_000
DEPTH_LIMIT: Final = 100
# Once the rendered parts come near this, the rest of the message is the body of the part at hand.
STRUCTURE_LIMIT: Final = 2 * 1024 * 1024
# More than the two parts that a header may add at most: a message and what is inside.
_STRUCTURE_SLACK: Final = 512 * 1024

# Behind a line end: the empty line, and (where boundaries are open) what may be one.
_STOP = re.compile(rb"\n(?:\r?\n|--)")
_BLANK = re.compile(rb"\n\r?\n")


class _Reading(IntEnum):
    """What comes next: the order of the methods in `_run`."""

    HEADER = 0
    BODY = 1
    LINE = 2


@dataclass(frozen=True, slots=True)
class Structure:
    """What is stored beside a message's octets.

    size: octets. header: those up to and with the empty line. digest: SHA-256. envelope, structure: rendered
    (RFC 9051 §7.5.2), without NUL. parts: an encoded PartMap. encoding: 0 for 7bit, 1 for 8bit, 2 where there is a NUL.
    """

    size: int
    header: int
    digest: bytes
    envelope: bytes
    structure: bytes
    parts: bytes
    encoding: int


def scan(content: bytes) -> Structure:
    """The structure of a whole message."""
    scanner = Scanner()
    scanner.feed(content)
    return scanner.finish()


class Scanner:
    """Reads a message chunk by chunk; how it is cut makes no difference to the result."""

    __slots__ = (
        "_base",
        "_boundaries",
        "_counted",
        "_digest",
        "_encoding",
        "_header",
        "_is_line_start",
        "_lines",
        "_nodes",
        "_open",
        "_position",
        "_reading",
        "_rest",
        "_searched",
        "_weight",
        "size",
        "visited",
    )

    def __init__(self) -> None:
        self.size = 0
        self.visited = 0
        self._digest = hashlib.sha256()
        self._encoding = 0
        # Octets not yet done with; _base is where they begin in the message. The other positions are in the message.
        self._rest = bytearray()
        self._base = 0
        self._position = 0
        self._searched = 0
        self._counted = 0
        self._lines = 0
        self._reading = _Reading.HEADER
        # Whether a body begins where the search goes on, so that a boundary needs no line end in front.
        self._is_line_start = False
        self._header: bytes | None = None
        self._boundaries = Boundaries()
        self._nodes = [Node(0)]
        self._open = [0]
        self._weight = 0

    def feed(self, chunk: bytes) -> None:
        """Takes the next octets."""
        self.size += len(chunk)
        self._digest.update(chunk)
        if self._encoding < 2:
            if b"\0" in chunk:
                self._encoding = 2
            elif not chunk.isascii():
                self._encoding = 1
        if not self._rest:
            self._run(chunk, is_last=False)
            self._rest += memoryview(chunk)[self._position - self._base :]
        else:
            self._rest += chunk
            self._run(self._rest, is_last=False)
            del self._rest[: self._position - self._base]
        self._base = self._position

    def finish(self) -> Structure:
        """The result; nothing may be fed any more."""
        self._run(self._rest, is_last=True)
        while self._open:
            self._nodes[self._open.pop()].close(self.size, self._lines)
        root = self._nodes[0]
        return Structure(
            size=self.size,
            header=root.body_start,
            digest=self._digest.digest(),
            envelope=root.envelope,
            structure=render_structure(self._nodes),
            parts=encode_parts(self._nodes),
            encoding=self._encoding,
        )

    def _run(self, data: bytes | bytearray, *, is_last: bool) -> None:
        """Goes as far as the data allows; `_position` is then what must be kept."""
        reads = (self._read_header, self._read_body, self._read_line)
        while reads[self._reading](data, is_last=is_last):
            pass
        self._count(data, self.size if is_last else max(self._counted, self._position))

    def _count(self, data: bytes | bytearray, end: int) -> None:
        """Counts the line ends before `end`."""
        self._lines += data.count(b"\n", self._counted - self._base, end - self._base)
        self.visited += end - self._counted
        self._counted = end

    def _read_header(self, data: bytes | bytearray, *, is_last: bool) -> bool:
        """Looks for what ends a header: the empty line, a boundary, or the end; False if more is needed."""
        base, limit = self._base, self._base + len(data)
        start = self._nodes[-1].header_start
        if self._searched == start:
            if limit - start < 2 and not is_last:
                return False
            first = bytes(data[start - base : start - base + 2])
            if first == b"\r\n" or first[:1] == b"\n":
                self._end_header(data, start + (2 if first == b"\r\n" else 1))
                return True
            if first == b"--" and self._boundaries.needle:
                ended = self._ends_at(data, start, is_last=is_last)
                if ended is not False:
                    return ended is True
        pattern = _STOP if self._boundaries.needle else _BLANK
        while match := pattern.search(data, self._searched - base):
            line_end, end = match.start() + base, match.end() + base
            self.visited += end - self._searched
            if data[end - base - 1] == 10:
                self._end_header(data, end)
                return True
            self._searched = line_end
            ended = self._ends_at(data, line_end + 1, is_last=is_last)
            if ended is not False:
                if ended is None:
                    self._keep_header(data, line_end)
                return ended is True
            self._searched = line_end + 1
        self.visited += max(0, limit - self._searched)
        if is_last:
            self._end_header(data, limit)
            return True
        self._searched = max(self._searched, limit - 2)
        self._keep_header(data, self._searched)
        return False

    def _ends_at(self, data: bytes | bytearray, start: int, *, is_last: bool) -> bool | None:
        """Ends the header if the line at `start` is a boundary; None if the line must be seen further."""
        found = self._boundary_at(data, start, is_last=is_last)
        if found is None:
            return None
        boundary, is_closing = found
        if boundary is None:
            return False
        self._end_header(data, start)
        if self._reading is _Reading.HEADER:
            # The part turned out to be a message: its own header is what ends here, and it is empty.
            self._end_header(data, start)
        self._enter(data, start, start, boundary, is_closing=is_closing)
        return True

    def _keep_header(self, data: bytes | bytearray, searched: int) -> None:
        """Lets go of a header that is longer than what counts of it."""
        start, base = self._nodes[-1].header_start, self._base
        if self._header is None:
            if searched - start <= HEADER_LIMIT:
                return
            self._header = bytes(data[start - base : start - base + HEADER_LIMIT])
        self._count(data, searched)
        self._position = searched

    def _end_header(self, data: bytes | bytearray, end: int) -> None:
        """The header of the newest part is complete: what is it, and what follows?"""
        number = len(self._nodes) - 1
        node, base = self._nodes[number], self._base
        header = self._header
        if header is None:
            start = node.header_start - base
            header = bytes(data[start : min(end - base, start + HEADER_LIMIT)])
        self._header = None
        around = self._nodes[self._open[-2]] if len(self._open) > 1 else None
        node.read(
            header,
            is_whole=around is None or around.is_message,
            is_in_digest=around is not None and around.is_digest,
            is_deepest=len(self._open) >= DEPTH_LIMIT or self._is_full,
        )
        self.visited += len(header)
        self._weight += node.weight
        self._count(data, end)
        node.body_start, node.lines = end, self._lines
        self._position = self._searched = end
        self._reading, self._is_line_start = _Reading.BODY, True
        if node.is_message:
            self._add(end)
        elif node.boundary is not None:
            self._boundaries.open(node.boundary, number)

    @property
    def _is_full(self) -> bool:
        return len(self._nodes) >= PARTS_LIMIT or self._weight > STRUCTURE_LIMIT - _STRUCTURE_SLACK

    def _add(self, start: int) -> None:
        """A part begins inside the innermost open one."""
        self._nodes[self._open[-1]].children += 1
        self._open.append(len(self._nodes))
        self._nodes.append(Node(start))
        self._reading = _Reading.HEADER
        self._position = self._searched = start

    def _read_body(self, data: bytes | bytearray, *, is_last: bool) -> bool:
        """Looks for the next boundary line; False if there is none in what came so far."""
        base, limit = self._base, self._base + len(data)
        needle = self._boundaries.needle
        if not needle:
            self._position = self._searched = limit
            return False
        if self._is_line_start:
            text = bytes(data[self._searched - base : self._searched - base + len(needle) - 1])
            if len(text) < len(needle) - 1 and needle.startswith(text, 1) and not is_last:
                return False
            if needle.endswith(text) and len(text) == len(needle) - 1:
                found = self._boundary_at(data, self._searched, is_last=is_last)
                if found is None:
                    return False
                if found[0] is not None:
                    self._enter(data, self._searched, self._searched, found[0], is_closing=found[1])
                    return True
            self._is_line_start = False
        while (place := data.find(needle, self._searched - base)) >= 0:
            line_end = place + base
            self.visited += line_end - self._searched
            self._searched = line_end
            found = self._boundary_at(data, line_end + 1, is_last=is_last)
            if found is None:
                self._position = max(self._position, line_end - 1)
                return False
            if found[0] is not None:
                # The line end in front of a boundary belongs to the boundary. RFC 2046 §5.1.1.
                has_return = line_end > self._nodes[self._open[-1]].body_start and data[place - 1] == 13
                self._enter(data, line_end + 1, line_end - has_return, found[0], is_closing=found[1])
                return True
            self._searched = line_end + 1
        self.visited += max(0, limit - self._searched)
        self._searched = max(self._searched, limit - len(needle) + 1)
        self._position = max(self._position, self._searched - 1)
        return False

    def _boundary_at(
        self, data: bytes | bytearray, start: int, *, is_last: bool
    ) -> tuple[bytes | None, bool] | None:
        """(the boundary that the line is, whether it closes); None if the line must be seen further."""
        place, reach = start - self._base, self._boundaries.reach
        end = data.find(b"\n", place, place + reach)
        if end < 0:
            if len(data) < place + reach and not is_last:
                return None
            end = place + reach
        line = bytes(data[place + 2 : end])
        boundary, looked = self._boundaries.match(line)
        self.visited += looked + len(line)
        return boundary, boundary is not None and line.startswith(b"--", len(boundary))

    def _enter(
        self, data: bytes | bytearray, line_start: int, end: int, boundary: bytes, *, is_closing: bool
    ) -> None:
        """A boundary line begins at line_start, and the parts inside its multipart end at `end`."""
        self._searched = line_start + 2 + len(boundary)
        self._position = line_start
        self._is_line_start = False
        self._reading = _Reading.BODY
        if self._is_full and not is_closing:
            self._boundaries.clear()
            return
        self._count(data, line_start)
        owner = self._boundaries.owners[boundary][-1]
        lines = self._lines - (end < line_start)
        while self._open[-1] != owner:
            node = self._nodes[self._open.pop()]
            node.close(end, max(lines, node.lines))
            if node.boundary is not None:
                self._boundaries.close(node.boundary)
        if is_closing:
            self._boundaries.close(boundary)
            self._nodes[owner].boundary = None
        else:
            self._reading = _Reading.LINE

    def _read_line(self, data: bytes | bytearray, *, is_last: bool) -> bool:
        """Leaves the rest of a boundary line behind; a part begins after it."""
        limit = self._base + len(data)
        place = data.find(b"\n", self._searched - self._base)
        if place < 0 and not is_last:
            self.visited += max(0, limit - self._searched)
            self._searched = max(self._searched, limit)
            self._position = limit
            return False
        start = place + 1 + self._base if place >= 0 else limit
        self.visited += max(0, start - self._searched)
        self._add(start)
        return True
