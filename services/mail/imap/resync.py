"""QRESYNC: what a client says that it knows, and VANISHED. RFC 7162 §3.2.

The rule: everything here costs what the runs cost that the client sent or the mailbox has, never what they span.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import MAX_NUMBER, MAX_NUMBER64, Arguments
from services.mail.imap.numbers import Numbers, render
from services.mail.store.uids import Run, Runs, between, count

# Runs in one VANISHED: a line of some 20 KB at most.
RUNS_OF_A_LINE: Final = 1000


@dataclass(frozen=True, slots=True)
class Vanished:
    """VANISHED, in lines of a bounded length; `is_earlier`: in answer to a question. RFC 7162 §3.2.10."""

    uids: Runs
    is_earlier: bool = False

    def render(self) -> bytes:
        word = b"* VANISHED (EARLIER) " if self.is_earlier else b"* VANISHED "
        return b"".join(
            word + render(self.uids[start : start + RUNS_OF_A_LINE]) + b"\r\n"
            for start in range(0, len(self.uids), RUNS_OF_A_LINE)
        )


@dataclass(frozen=True, slots=True)
class Known:
    """The parameter QRESYNC of SELECT. RFC 7162 §3.2.5.

    uids: None where the client did not say which it knows. numbers, matches: some sequence numbers, and the uids that
    they had when the client was last here, in parallel.
    """

    uid_validity: int
    modseq: int
    uids: Runs | None = None
    numbers: Runs = ()
    matches: Runs = ()

    @classmethod
    def parse(cls, args: Arguments) -> Known:
        """Reads `(uidvalidity modseq [known-uids] [(numbers uids)])`."""
        parts = args.list_of(lambda: _part(args), "QRESYNC's parameters")
        sets = [part for part in parts[2:] if isinstance(part, bytes)]
        pairs = [part for part in parts[2:] if not isinstance(part, bytes)]
        if len(parts) < 2 or len(sets) > 1 or len(pairs) > 1 or parts[2:] != sets + pairs:
            raise ProtocolError("QRESYNC takes a UIDVALIDITY, a modseq, uids, and a list of matches")
        uids = _closed(sets[0]) if sets else None
        numbers, matches = pairs[0] if pairs else ((), ())
        return cls(_number(parts[0], MAX_NUMBER), _number(parts[1], MAX_NUMBER64), uids, numbers, matches)

    def matched(self, runs: Runs) -> int:
        """The highest of the matches that still has its number, 0 for none. RFC 7162 §3.2.5.2.

        runs: the uids of the mailbox. Up to that uid, the client knows already what has gone.
        """
        firsts = [first for first, _ in runs]
        before = [0]
        for first, last in runs:
            before.append(before[-1] + last - first + 1)
        for (number, _), (start, end) in reversed(_aligned(self.numbers, self.matches)):
            place = bisect_right(firsts, end) - 1
            while place >= 0 and runs[place][1] >= start:
                first, last = runs[place]
                if before[place] + 1 - first == number - start:
                    return min(last, end)
                place -= 1
        return 0


def _part(args: Arguments) -> bytes | tuple[Runs, Runs]:
    if args.peek() != b"(":
        return args.atom_set()
    sets = args.list_of(lambda: _closed(args.atom_set()))
    if len(sets) != 2 or count(sets[0]) != count(sets[1]):
        raise ProtocolError("a list of matches has as many sequence numbers as uids")
    return sets[0], sets[1]


def _closed(octets: bytes) -> Runs:
    """A set in which `*` has no meaning: what it stands for is not known here."""
    numbers = Numbers.parse(octets)
    if numbers.open_ends:
        raise ProtocolError("there is no * among what is known")
    return numbers.runs


def _number(part: bytes | tuple[Runs, Runs], most: int) -> int:
    if not isinstance(part, bytes) or not part.isdigit() or len(part) > 20 or not 0 < int(part) <= most:
        raise ProtocolError("UIDVALIDITY and modseq are numbers from 1 on")
    return int(part)


def _aligned(left: Runs, right: Runs) -> list[tuple[Run, Run]]:
    """Two sets of one size as pairs of runs of one length: the nth member of each stands beside the other's."""
    pairs: list[tuple[Run, Run]] = []
    i = j = skipped_left = skipped_right = 0
    while i < len(left) and j < len(right):
        a, b = left[i][0] + skipped_left, right[j][0] + skipped_right
        length = min(left[i][1] - a, right[j][1] - b)
        pairs.append(((a, a + length), (b, b + length)))
        skipped_left += length + 1
        skipped_right += length + 1
        if a + length == left[i][1]:
            i, skipped_left = i + 1, 0
        if b + length == right[j][1]:
            j, skipped_right = j + 1, 0
    return pairs


def above(runs: Runs, uid: int) -> Runs:
    """Those above this uid."""
    return between(runs, uid + 1, MAX_NUMBER)
