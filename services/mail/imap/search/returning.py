"""What a search returns, and how that is said. RFC 4731, RFC 5182, RFC 9051 §7.3.4, RFC 7162 §3.1.5.

The rule: an answer is made of what was found in ascending order; SEARCH is one line, and so is ESEARCH.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.imap import numbers
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Rendered, Response, string
from services.mail.store.uids import Runs, runs_of

OPTIONS: Final = ("MIN", "MAX", "ALL", "COUNT", "SAVE")
# Numbers of a long answer that are rendered together.
_TOGETHER: Final = 5000


@dataclass(frozen=True, slots=True)
class Returning:
    """options: of RETURN, empty for an answer by SEARCH."""

    options: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, args: Arguments) -> Returning:
        """RETURN and its options, where it comes next; none of them is ALL."""
        if not args.follows(b"RETURN"):
            return cls()
        args.atom()
        found = args.list_of(lambda: args.atom("return option"), "return options")
        for option in found:
            if option not in OPTIONS:
                raise ProtocolError("no such return option")
        return cls(frozenset(found or ("ALL",)))

    @property
    def saves(self) -> bool:
        """Whether `$` is to be what was found. RFC 5182."""
        return "SAVE" in self.options

    @property
    def ends(self) -> frozenset[str]:
        """MIN and MAX, where nothing but these is asked for."""
        asked = self.options - {"SAVE"}
        return asked if asked <= {"MIN", "MAX"} else frozenset()

    def chosen(self, found: Sequence[int]) -> list[int]:
        """Places of what is asked for and hence saved: all, or only the ends. RFC 5182 §2.4."""
        if not self.ends:
            return list(range(len(found)))
        places = [0] if "MIN" in self.ends else []
        if "MAX" in self.ends:
            places.append(len(found) - 1)
        return sorted(set(places)) if found else []

    def saved(self, uids: Sequence[int]) -> Runs:
        """What `$` is from now on."""
        return runs_of(uids[place] for place in self.chosen(uids)) if self.ends else runs_of(uids)

    def modseq(self, modseqs: Sequence[int]) -> int:
        """The highest modseq of what is asked for; 0 where nothing was found. RFC 4731 §3.2."""
        return max((modseqs[place] for place in self.chosen(modseqs)), default=0)


def listed(found: Sequence[int], modseq: int = 0) -> Iterator[Response]:
    """The line of SEARCH, in pieces. modseq: 0 for none."""
    yield Rendered(b"* SEARCH")
    for start in range(0, len(found), _TOGETHER):
        yield Rendered("".join(map(" {}".format, found[start : start + _TOGETHER])).encode("ascii"))
    yield Rendered(b" (MODSEQ %d)\r\n" % modseq if modseq and found else b"\r\n")


def extended(
    returning: Returning, found: Sequence[int], tag: bytes, *, are_uids: bool, modseq: int = 0
) -> list[Response]:
    """ESEARCH; nothing where the result is only saved. RFC 5182 §2.1."""
    options = returning.options
    if options == {"SAVE"}:
        return []
    parts = [b"* ESEARCH (TAG %b)" % string(tag)]
    if are_uids:
        parts.append(b"UID")
    if found and "MIN" in options:
        parts.append(b"MIN %d" % found[0])
    if found and "MAX" in options:
        parts.append(b"MAX %d" % found[-1])
    if found and "ALL" in options:
        parts.append(b"ALL " + numbers.render(runs_of(found)))
    if "COUNT" in options:
        parts.append(b"COUNT %d" % len(found))
    if modseq and found:
        parts.append(b"MODSEQ %d" % modseq)
    return [Rendered(b" ".join(parts) + b"\r\n")]
