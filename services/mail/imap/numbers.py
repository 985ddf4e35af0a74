"""Sequence sets: `2,4:7,9,12:*`. RFC 9051 §9 (sequence-set).

A set is the same whether it names sequence numbers or uids; only a view can tell what `*` is. The rule: a set
costs what its runs cost, never what it spans: `1:4294967295` is one pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.store.uids import LAST_UID, Run, Runs, normalise

MAX_RANGES: Final = 200_000
_STAR: Final = 0  # stands for `*` until a view says what is last; no message has it as number or uid
_SET: Final = re.compile(rb"(?:[0-9]++|\*)(?::(?:[0-9]++|\*))?+(?:,(?:[0-9]++|\*)(?::(?:[0-9]++|\*))?+)*+")


@dataclass(frozen=True, slots=True)
class Numbers:
    """A parsed set: `runs` without `*`, and the numbers `n` of `n:*`, where `*` alone is `*:*` and counts as 0.

    is_saved: it is `$`, what the last SEARCH saved. RFC 9051 §6.4.4.1.
    """

    runs: Runs
    open_ends: tuple[int, ...] = ()
    are_uids: bool = False
    is_saved: bool = False

    @classmethod
    def parse(cls, octets: bytes, are_uids: bool = False) -> Numbers:
        """Raises ProtocolError: no set, a zero, a number over 2^32-1, more than MAX_RANGES ranges."""
        if octets == b"$":
            return cls((), (), are_uids, is_saved=True)
        if not _SET.fullmatch(octets):
            raise ProtocolError("not a sequence set")
        closed: list[Run] = []
        open_ends: set[int] = set()
        for piece in octets.split(b","):
            left, colon, right = piece.partition(b":")
            first = _number(left)
            last = _number(right) if colon else first
            if first == _STAR or last == _STAR:
                open_ends.add(first or last)
            else:
                closed.append((first, last))
        runs = normalise(closed)
        if len(runs) + len(open_ends) > MAX_RANGES:
            raise ProtocolError("too many ranges in a sequence set")
        return cls(runs, tuple(sorted(open_ends)), are_uids)

    def resolve(self, last: int) -> Runs:
        """The runs when `*` is `last`. RFC 9051 §9: `n:*` holds the last one even where n is above it."""
        if not self.open_ends:
            return self.runs
        pairs: Iterable[Run] = ((number or last, last) for number in self.open_ends)
        return normalise((*self.runs, *pairs)) if last else self.runs

    @property
    def highest(self) -> int:
        """The greatest number that is named; 0 where only `*` is."""
        return max(self.runs[-1][1] if self.runs else 0, self.open_ends[-1] if self.open_ends else 0)


def render(runs: Runs) -> bytes:
    """The shortest set for these runs, as RFC 4315's codes carry it."""
    return ",".join(f"{first}:{last}" if last > first else str(first) for first, last in runs).encode()


def _number(octets: bytes) -> int:
    if octets == b"*":
        return _STAR
    if len(octets) > 10 or not 1 <= (number := int(octets)) <= LAST_UID:
        raise ProtocolError("a number in a set is between 1 and 4294967295")
    return number
