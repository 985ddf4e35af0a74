"""The boundaries that are open at a point of a message, and which of them a line is. RFC 2046 §5.1.1.

The rule: a line belongs to the longest open boundary that it begins with, and finding it costs about the octets of the
line, however many boundaries look alike.
"""

from bisect import bisect_right, insort
from typing import Final

BOUNDARY_LIMIT: Final = 2048


class Boundaries:
    """Open boundaries, each with the parts that opened it (numbers), the innermost last.

    needle: what every line of interest looks like from the line end before it. reach: octets of a line that may matter.
    """

    __slots__ = ("needle", "ordered", "owners", "reach")

    def __init__(self) -> None:
        self.needle = b""
        self.reach = 0
        self.ordered: list[bytes] = []
        self.owners: dict[bytes, list[int]] = {}

    def open(self, boundary: bytes, owner: int) -> None:
        """Adds the boundary of a multipart."""
        owners = self.owners.setdefault(boundary, [])
        owners.append(owner)
        if len(owners) == 1:
            insort(self.ordered, boundary)
            self._refresh()

    def close(self, boundary: bytes) -> None:
        """Removes the innermost multipart with this boundary."""
        owners = self.owners[boundary]
        owners.pop()
        if not owners:
            del self.owners[boundary]
            self.ordered.remove(boundary)
            self._refresh()

    def clear(self) -> None:
        """Forgets them all: the rest of the message is one body."""
        self.ordered.clear()
        self.owners.clear()
        self._refresh()

    def match(self, line: bytes) -> tuple[bytes | None, int]:
        """The longest boundary that begins the line (given without its dashes), and the octets looked at."""
        if len(self.ordered) == 1:
            only = self.ordered[0]
            return (only if line.startswith(only) else None), len(only)
        looked = 0
        while line:
            looked += 2 * len(line)
            place = bisect_right(self.ordered, line)
            if not place:
                break
            near = self.ordered[place - 1]
            if line.startswith(near):
                return near, looked
            # Whatever else begins the line is shorter than what the line shares with its neighbour.
            line = line[: _shared(near, line)]
        return None, looked

    def _refresh(self) -> None:
        if not self.ordered:
            self.needle, self.reach = b"", 0
            return
        first, last = self.ordered[0], self.ordered[-1]
        shared = first if first is last else first[: _shared(first, last)]
        self.needle = b"\n--" + shared
        # Two dashes in front, two behind.
        self.reach = max(map(len, self.ordered)) + 4


def _shared(one: bytes, other: bytes) -> int:
    """How many octets both begin with; by arithmetic on whole strings, which is quicker than a loop."""
    size = min(len(one), len(other))
    difference = int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")
    return size - (difference.bit_length() + 7) // 8
