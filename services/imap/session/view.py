"""A session's picture of its mailbox: which message has which number, as the client was told. RFC 9051 §2.3.1.2.

Three marks say how far that reaches: live uids below `uid_next_told`, plus those expunged after `expunged_to`, and
flags as of `flags_to` (modseqs). The rule: only `updates` changes a view, and changes it only together with what the
client is told in the same breath. It costs what its runs of uids cost, not what the mailbox holds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from services.imap.session.flags import Flags
from services.imap.session.folders import Picture
from services.mail.errors import ProtocolError
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import RECENT
from services.mail.store.mailboxes import Opened
from services.mail.store.messages import Page
from services.mail.store.uids import Runs, between, count, each, from_masks, intersect, subtract, union

PAGE: Final = 1000


class View:
    """Sequence numbers 1…count over runs of uids."""

    __slots__ = (
        "_before",
        "_firsts",
        "_share",
        "expunged_to",
        "flags",
        "flags_to",
        "keywords",
        "own",
        "picture",
        "recent",
        "runs",
        "saved",
        "skipped",
        "uid_next_told",
    )

    def __init__(
        self,
        runs: Runs,
        uid_next: int,
        modseq: int,
        keywords: Sequence[str] = (),
        first_recent: int | None = None,
        share: Callable[[Runs], Picture] = Picture,
    ) -> None:
        self._share = share
        self.uid_next_told = uid_next
        self.expunged_to = modseq
        self.flags_to = modseq
        self.keywords = keywords
        self.flags = Flags()
        self.own: frozenset[int] = (
            frozenset()
        )  # modseqs of this session's STOREs above flags_to: their answer was given
        self.saved: Runs = ()  # what SEARCH saved as $, RFC 9051 §6.4.4.1
        self.skipped: Runs = ()  # below uid_next_told, gone after expunged_to, and never told
        self._set(runs)
        first = uid_next if first_recent is None else first_recent
        self.recent: Runs = between(runs, first, uid_next - 1)

    @classmethod
    def of(cls, opened: Opened, share: Callable[[Runs], Picture] = Picture) -> View:
        """The view of a mailbox that was just opened. share: where equal pictures are found."""
        runs = from_masks(opened.blocks, opened.masks)
        status = opened.status
        return cls(
            runs, status.uid_next, status.highest_modseq, opened.keywords, opened.first_recent, share=share
        )

    def _set(self, runs: Runs) -> None:
        self.picture = picture = self._share(runs)
        self.runs, self._firsts, self._before = picture.runs, picture.firsts, picture.before

    @property
    def count(self) -> int:
        """How many messages the client knows of."""
        return self._before[-1]

    @property
    def highest_modseq(self) -> int:
        """What may be told as HIGHESTMODSEQ: never past an expunge that was held back."""
        return min(self.expunged_to, self.flags_to)

    @property
    def holds_back(self) -> bool:
        """Whether there may be expunges that the client was not told of, as of the last news."""
        return self.expunged_to < self.flags_to

    def uids(self, numbers: Numbers) -> Runs:
        """The uids of a set of sequence numbers, or those of a set of uids that are there.

        Raises ProtocolError for a sequence number that no message has (RFC 9051 §9, seq-number).
        """
        if numbers.is_saved:
            return self.saved
        if numbers.are_uids:
            return intersect(self.runs, numbers.resolve(self.runs[-1][1] if self.runs else 0))
        if numbers.highest > self.count or (numbers.open_ends and not self.count):
            raise ProtocolError("no message has that sequence number")
        return self.at(numbers.resolve(self.count))

    def at(self, numbers: Runs) -> Runs:
        """The uids at these sequence numbers, which all exist."""
        found: list[tuple[int, int]] = []
        for first, last in numbers:
            place, run = first, bisect_right(self._before, first - 1) - 1
            while place <= last:
                base = self._firsts[run] - self._before[run] - 1
                end = min(last, self._before[run + 1])
                found.append((base + place, base + end))
                place, run = end + 1, run + 1
        return tuple(found)

    def uid(self, number: int) -> int:
        """The uid at a sequence number that exists."""
        return self.at(((number, number),))[0][0]

    def number(self, uid: int) -> int:
        """A uid's sequence number; 0 where the client does not know it."""
        run = bisect_right(self._firsts, uid) - 1
        if run < 0 or uid > self.runs[run][1]:
            return 0
        return self._before[run] + uid - self._firsts[run] + 1

    def numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """The sequence numbers of ascending uids; 0 for those that the client does not know."""
        if not uids:
            return ()
        first, last = self.number(uids[0]), self.number(uids[-1])
        if (
            first
            and last - first == len(uids) - 1
            and (uids[-1] - uids[0] == last - first or list(uids) == self._members(first, last))
        ):
            return range(first, last + 1)
        found: list[int] = []
        run, end, shift = -1, -1, 0
        for uid in uids:
            if uid > end:
                run = bisect_right(self._firsts, uid, max(run, 0)) - 1
                if run < 0 or uid > self.runs[run][1]:
                    found.append(0)
                    continue
                end, shift = self.runs[run][1], self._before[run] - self._firsts[run] + 1
            found.append(uid + shift)
        return found

    def _members(self, first: int, last: int) -> list[int]:
        """The uids at the sequence numbers first to last."""
        return list(each(self.at(((first, last),))))

    def pages(self, uids: Runs) -> Iterator[Page]:
        """These uids by the page, with nothing but themselves: what needs no store."""
        members = each(uids)
        while page := list(islice(members, PAGE)):
            yield Page(page)

    def each_number(self, runs: Runs) -> list[int]:
        """The sequence numbers of those of these uids that are there, ascending."""
        found: list[int] = []
        for first, last in intersect(self.runs, runs):  # each lies in one run of the view
            number = self.number(first)
            found += range(number, number + last - first + 1)
        return found

    def add(self, runs: Runs, uid_next: int) -> None:
        """Takes in messages that the client is being told of by EXISTS, as all that lives below `uid_next`."""
        if uid_next <= self.uid_next_told:
            return
        if runs:
            self.flags.add(count(runs))
            self._set(union(self.runs, runs))
        self.skipped = union(self.skipped, subtract(((self.uid_next_told, uid_next - 1),), runs))
        self.uid_next_told = uid_next

    def remove(self, runs: Runs) -> Runs:
        """Drops messages; answers those that were there: each is told once."""
        gone = intersect(self.runs, runs)
        if gone:
            self.flags.remove(self.each_number(gone))
            self._set(subtract(self.runs, gone))
            self.recent = subtract(self.recent, gone)
            self.saved = subtract(self.saved, gone)
        return gone

    def tell_expunged(self, modseq: int) -> None:
        """Everything that went up to this modseq has been told."""
        self.expunged_to = modseq
        self.skipped = ()

    def leaving(self, runs: Runs) -> list[int]:
        """The numbers for EXPUNGE of these, which are all there: each as of the moment when it is said."""
        return [number - gone for gone, number in enumerate(self.each_number(runs))]

    @property
    def recent_count(self) -> int:
        """How many of them are \\Recent to this session."""
        return count(self.recent)

    def with_recent(self, uids: Sequence[int], flags: Sequence[int]) -> Sequence[int]:
        """The flags of these ascending uids, with RECENT where it holds for this session. RFC 3501 §2.3.2."""
        start = bisect_left(uids, self.recent[0][0]) if self.recent else len(uids)
        if start == len(uids):
            return flags
        marked = list(flags)
        for first, last in self.recent:
            low, high = bisect_left(uids, first), bisect_right(uids, last)
            marked[low:high] = [bits | RECENT for bits in marked[low:high]]
        return marked
