"""What all clients of one account know together: what was acknowledged, and what may never change.

The rule: whatever may take effect is noted before it is sent, and whatever was promised only once it was acknowledged;
so an order of events that only looks wrong from here is never called a violation.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from tests.faults.stress.names import INBOX, is_perishable, is_renamed
from tests.faults.stress.violations import expect

MARK = b"X-Stress: "


class Place(NamedTuple):
    """A message in a mailbox, forever. RFC 9051 §2.3.1.1."""

    validity: int
    uid: int


@dataclass(slots=True)
class Lost:
    """A COPY or MOVE whose answer never came: each source may have one more copy."""

    is_move: bool
    target: str
    sources: set[Place]
    used: set[Place] = field(default_factory=set)


def digest(octets: bytes) -> str:
    """A short name of some octets."""
    return blake2b(octets, digest_size=12).hexdigest()


def name_in(octets: bytes) -> str:
    """The name that a letter of ours has in its header; empty for none."""
    start = octets.find(MARK)
    if start < 0:
        return ""
    return octets[start + len(MARK) : octets.find(b"\r\n", start)].decode("ascii", "replace")


class Ledger:
    """One account's. makes_up: whether what is expunged may be read as NIL or as nothing much (RFC 2180 §4.1.2)."""

    def __init__(self, makes_up: bool = False) -> None:
        self.makes_up = makes_up
        self.highest: dict[tuple[str, str | int], int] = {}
        self.origin: dict[Place, Place | None] = {}  # every acknowledged message; a copy names its source
        self.names: dict[Place, str] = {}
        self.delivered: set[str] = set()  # acknowledged without a uid
        self.claimed: set[str] = set()
        self.perhaps: set[str] = set()  # sent, and never answered
        self.lost: list[Lost] = []
        self.doomed: set[Place] = set()  # may have had \Deleted
        self.moving: set[Place] = set()
        self.moved: set[Place] = set()
        self.renames: set[str] = set()  # where RENAMEs of INBOX may have put what was in it
        self.renamed: set[Place] = set()  # what one of them took there
        self.is_scattered = False  # since the last audit, one went where others may delete it
        self.expunged: dict[Place, str] = {}
        self.deletions = self.deletions_ended = 0  # DELETEs sent, and answered
        self.perishable: set[int] = set()
        self.mailboxes: dict[int, str] = {}
        self._octets: dict[tuple[Place, str], str] = {}
        self._flags: dict[tuple[Place, int], frozenset[str]] = {}
        self._won: dict[tuple[Place, int], int] = {}
        self._recent: dict[Place, str] = {}
        self._letters: dict[str, tuple[int, str]] = {}

    # --- what only rises

    def floor(self, kind: str, of: str | int) -> int:
        """The highest value that anybody was told so far; asked when a command is sent."""
        return self.highest.get((kind, of), 0)

    def rise(self, kind: str, of: str | int, value: int, floor: int) -> None:
        """Notes a value; what was known when the command was sent is its floor."""
        expect(value >= floor, "goes back", f"{kind} of {of} is {value}, and was {floor}")
        self.highest[kind, of] = max(self.floor(kind, of), value)

    def opened(self, name: str, validity: int, floor: int) -> None:
        """A name was told with its UIDVALIDITY. RFC 9051 §2.3.1.1: a name used again has a greater one."""
        # Whoever renames onto a name that was used before brings an older mailbox there; it is still another one.
        self.rise("UIDVALIDITY", name, validity, 0 if is_renamed(name) else floor)
        self.mailboxes[validity] = name
        if is_perishable(name):
            self.perishable.add(validity)

    # --- what never changes

    def same(self, place: Place, item: str, value: str) -> None:
        """Octets, sizes, dates and structures of a message never change. RFC 9051 §2.3.1.1."""
        known = self._octets.setdefault((place, item), value)
        expect(known == value, "octets change", f"{item} of {place} was {known} and is {value}")

    def known(self, place: Place, item: str) -> str | None:
        """What `same` was told."""
        return self._octets.get((place, item))

    def written(self, name: str, octets: bytes) -> None:
        """A letter that is about to be sent."""
        self._letters[name] = len(octets), digest(octets)

    def carried(self, place: Place, name: str, octets: bytes) -> None:
        """A letter as it is read: what was sent, behind the trace headers of its delivery."""
        size, due = self._letters.get(name, (0, ""))
        expect(due, "another letter", f"{place} holds {name}, which nobody wrote")
        expect(digest(octets[-size:]) == due, "octets change", f"{place} does not hold {name} as it was sent")

    def flagged(self, place: Place, modseq: int, flags: frozenset[str]) -> None:
        """One mod-sequence names one state of a message. RFC 7162 §3.1."""
        known = self._flags.setdefault((place, modseq), flags)
        expect(known == flags, "modseq", f"{place} had {sorted(known)} at {modseq} and has {sorted(flags)}")

    def won(self, place: Place, since: int, modseq: int) -> None:
        """A conditional STORE changed a message: nobody else does from the same state. RFC 7162 §3.1.3."""
        first = self._won.setdefault((place, since), modseq)
        expect(first == modseq, "two winners", f"{place} was changed from {since} to {first} and to {modseq}")

    def recent(self, place: Place, session: str) -> None:
        """A read-write session was told \\Recent: no other one is. RFC 3501 §2.3.2."""
        first = self._recent.setdefault(place, session)
        expect(first == session, "recent twice", f"{place} is \\Recent to {first} and {session}")

    # --- what was acknowledged

    def placed(self, place: Place, name: str = "", source: Place | None = None) -> None:
        """An acknowledged APPEND, COPY, MOVE or delivery put a message here."""
        expect(
            place not in self.origin,
            "uid twice",
            f"{place} was acknowledged for {self.name(place)} and {name}",
        )
        self.origin[place] = source
        if name:
            self.identify(place, name)
            self.claimed.add(name)
        if source is not None:
            for item in ("BODY[]", "RFC822.SIZE"):
                ours, theirs = self.known(place, item), self.known(source, item)
                if ours and theirs:
                    expect(ours == theirs, "copy differs", f"{item} of {place} is not that of {source}")
                elif theirs:
                    self.same(place, item, theirs)

    def identify(self, place: Place, name: str) -> None:
        """Which letter this is."""
        known = self.names.setdefault(place, name)
        expect(known == name, "another letter", f"{place} was {known} and is {name}")

    def name(self, place: Place) -> str:
        """The letter here, found by its sources too; empty where nobody knows."""
        at: Place | None = place
        while at is not None:
            if at in self.names:
                return self.names[at]
            at = self.origin.get(at)
        return ""

    def may_go(self, place: Place) -> bool:
        """Whether somebody gave a reason to expunge this."""
        at: Place | None = place
        while at is not None:
            if at in self.doomed or (at == place and (at in self.moving or at in self.renamed)):
                return True
            at = self.origin.get(at)
        return place.validity in self.perishable

    def lose(self, is_move: bool, target: str, sources: Iterable[Place]) -> None:
        """A COPY or MOVE may or may not have happened."""
        self.lost.append(Lost(is_move, target, set(sources)))

    def in_inbox(self) -> set[Place]:
        """All that was ever acknowledged in INBOX, which keeps its UIDVALIDITY."""
        return {place for place in self.origin if self.mailboxes.get(place.validity) == INBOX}

    def empty_inbox(self, target: str) -> None:
        """A RENAME of INBOX has happened, or may have."""
        self.renames.add(target)
        self.is_scattered |= is_perishable(target)

    def gone(self, place: Place, who: str) -> None:
        """Somebody was told that a message was expunged; whether it might is asked later, by `audit`."""
        self.expunged.setdefault(place, who)
