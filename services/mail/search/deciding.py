"""How a query is decided for many messages at once: sets of rows are the bits of integers.

Row i of a page is bit i. What is known of a term are two sets: rows that surely have it, and rows that may. The rule:
a term's cost is that of its own columns for the page, whatever the other terms are; nothing recurses.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final, NamedTuple

from services.mail.store.flags import flag_bits
from services.mail.store.search import Among, Changed, Everything, Flagged, Key, Operator, Query, Sized
from services.mail.store.uids import Runs

# Octets 0 and 1 as digits of a number, and back.
_DIGITS: Final = bytes.maketrans(b"\0\1", b"01")
_BITS: Final = bytes.maketrans(b"01", b"\0\1")


class Bounds(NamedTuple):
    """sure: rows that have it. possible: these, and rows of which nothing is known yet."""

    sure: int
    possible: int

    @property
    def open(self) -> int:
        """Rows of which nothing is known yet."""
        return self.possible & ~self.sure


@dataclass(frozen=True, slots=True)
class Rows:
    """A page's columns, ascending by uid; a column that no term asks for may be empty."""

    uids: Sequence[int]
    flags: Sequence[int] = ()
    modseqs: Sequence[int] = ()
    sizes: Sequence[int] = ()
    keywords: Sequence[str] = ()

    def between(self, first: int, last: int) -> Rows:
        """The rows from `first` on and before `last`."""
        rows = slice(first, last)
        return Rows(self.uids[rows], self.flags[rows], self.modseqs[rows], self.sizes[rows], self.keywords)

    @property
    def all(self) -> int:
        """Every row."""
        return (1 << len(self.uids)) - 1


def decide(query: Query, known: Sequence[Bounds | None], everything: int) -> Bounds:
    """What is known of the whole query. known: for each term; None for operators, and where nothing is known."""
    nothing_known = Bounds(0, everything)
    stack: list[Bounds] = []
    for term, bounds in zip(query, known, strict=True):
        if term is Operator.NOT:
            inner = stack.pop()
            stack.append(Bounds(everything & ~inner.possible, everything & ~inner.sure))
        elif isinstance(term, Operator):
            right, left = stack.pop(), stack.pop()
            if term is Operator.AND:
                stack.append(Bounds(left.sure & right.sure, left.possible & right.possible))
            else:
                stack.append(Bounds(left.sure | right.sure, left.possible | right.possible))
        else:
            stack.append(bounds or nothing_known)
    (decided,) = stack
    return decided


def by_columns(key: Key, rows: Rows) -> Bounds | None:
    """What the columns say of a key; None where they say nothing."""
    match key:
        case Everything():
            found = rows.all
        case Among(uids):
            found = among(uids, rows.uids)
        case Flagged(flag):
            bits, _ = flag_bits((flag,), rows.keywords)
            hits = {flags for flags in set(rows.flags) if flags & bits}
            found = where(map(hits.__contains__, rows.flags)) if hits else 0
        case Sized(least, most):
            found = where(least <= size <= most for size in rows.sizes)
        case Changed(modseq):
            found = where(each >= modseq for each in rows.modseqs)
        case _:
            return None
    return Bounds(found, found)


def where(hits: Iterable[bool]) -> int:
    """The rows for which it is true."""
    digits = bytes(hits)[::-1].translate(_DIGITS)
    return int(digits, 2) if b"1" in digits else 0


def among(runs: Runs, uids: Sequence[int]) -> int:
    """The rows with these uids; its cost is that of the runs within the page."""
    if not uids or not runs:
        return 0
    found = 0
    place = bisect_left(runs, uids[0], key=lambda run: run[1])
    while place < len(runs) and runs[place][0] <= uids[-1]:
        low, high = bisect_left(uids, runs[place][0]), bisect_right(uids, runs[place][1])
        found |= ((1 << (high - low)) - 1) << low
        place += 1
    return found


def of_uids(wanted: Iterable[int], uids: Sequence[int]) -> int:
    """The rows with these single uids; others are passed over."""
    if not uids:
        return 0
    digits = bytearray(b"0") * len(uids)
    first, last = uids[0], uids[-1]
    if last - first == len(uids) - 1:
        for uid in wanted:
            if first <= uid <= last:
                digits[first - uid - 1] = 49
    else:
        rows = {uid: row for row, uid in enumerate(uids)}
        for uid in wanted:
            if (row := rows.get(uid)) is not None:
                digits[-1 - row] = 49
    return int(digits, 2)


def chosen(rows: int, column: Sequence[int]) -> list[int]:
    """The values of a column in these rows."""
    if not rows:
        return []
    if rows == (1 << len(column)) - 1:
        return list(column)
    return list(compress(column, bin(rows)[:1:-1].encode().translate(_BITS)))
