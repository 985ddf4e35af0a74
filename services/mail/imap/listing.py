"""What LIST selects and returns: its options, and which names they pick. RFC 9051 §6.3.9, RFC 5258, RFC 6154.

The rule: a name is told at most once, and only where it matches a pattern; everything is linear in the names looked at,
and for each of them whoever asks has a chance to let others have their turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from services.mail.errors import InvalidName, LimitExceeded, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.counters import read_counters
from services.mail.imap.names import Pattern
from services.mail.store.mailboxes import SEPARATOR, Listing, Mailbox

SELECTION: Final = frozenset({"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"})
RETURN: Final = frozenset({"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "STATUS"})
MAX_PATTERNS: Final = 50
# What RECURSIVEMATCH needs beside it. RFC 5258 §6 (list-select-base-opt), RFC 6154 §6.
BASE: Final = "SUBSCRIBED"


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for. selection, returned: words. counters: of STATUS, empty where it was not asked for."""

    selection: frozenset[str] = frozenset()
    returned: frozenset[str] = frozenset()
    counters: tuple[str, ...] = ()

    @property
    def tells_subscribed(self) -> bool:
        """SUBSCRIBED selected implies SUBSCRIBED returned. RFC 5258 §3.1."""
        return "SUBSCRIBED" in self.selection or "SUBSCRIBED" in self.returned


@dataclass(frozen=True, slots=True)
class Found:
    """A name to tell. mailbox: None where there is none. place: the mailbox's in the listing.

    criteria: those that a name below it meets, where that was asked for. is_selected: whether it meets them itself.
    """

    name: str
    attributes: tuple[str, ...]
    mailbox: Mailbox | None = None
    place: int = 0
    criteria: tuple[str, ...] = ()
    is_selected: bool = True


def read_selection(args: Arguments) -> frozenset[str]:
    """The selection options in front of the reference. Raises ProtocolError."""
    words = frozenset(args.list_of(lambda: args.atom("selection option"), "selection options"))
    if not words <= SELECTION:
        raise ProtocolError("no such selection option")
    if "RECURSIVEMATCH" in words and BASE not in words:
        raise ProtocolError("RECURSIVEMATCH needs SUBSCRIBED beside it")
    return words


def read_returned(args: Arguments) -> tuple[frozenset[str], tuple[str, ...]]:
    """RETURN and its options, and the counters of STATUS. Raises ProtocolError."""
    if args.atom("RETURN") != "RETURN":
        raise ProtocolError("expected RETURN")
    counters: list[str] = []

    def option() -> str:
        word = args.atom("return option")
        if word == "STATUS":
            counters.extend(read_counters(args))
        return word

    words = frozenset(args.list_of(option, "return options"))
    if not words <= RETURN:
        raise ProtocolError("no such return option")
    return words, tuple(dict.fromkeys(counters))


def read_name(args: Arguments, is_pattern: bool = False) -> str | None:
    """A reference or a pattern; None for one that no name can match, which is passed over. RFC 9051 §6.3.9."""
    try:
        return args.list_mailbox() if is_pattern else args.mailbox()
    except InvalidName:
        return None


def patterns_of(reference: str | None, asked: Iterable[str | None]) -> list[Pattern]:
    """The canonical patterns; those that cannot be matched are passed over. Raises LimitExceeded."""
    found: dict[str, Pattern] = {}
    for pattern in asked:
        if reference is not None and pattern and pattern not in found:
            if len(found) == MAX_PATTERNS:
                raise LimitExceeded(f"LIST takes at most {MAX_PATTERNS} patterns")
            try:
                found[pattern] = Pattern(reference + pattern)
            except InvalidName:
                continue
    return list(found.values())


def prefix_of(patterns: Iterable[Pattern]) -> str:
    """How every name begins that one of these matches."""
    prefixes = [pattern.prefix for pattern in patterns]
    lowest, highest = min(prefixes), max(prefixes)
    for place, (low, high) in enumerate(zip(lowest, highest, strict=False)):
        if low != high:
            return lowest[:place]
    return lowest


@dataclass(slots=True)
class Selector:
    """Which names of a listing are told."""

    listing: Listing
    patterns: list[Pattern]
    options: Options
    _places: dict[str, int] = field(init=False)
    _parents: set[str] = field(init=False)
    _subscribed: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._places = {mailbox.name: place for place, mailbox in enumerate(self.listing.mailboxes)}
        self._parents = above(self._places)
        self._subscribed = set(self.listing.subscribed)

    def found(self) -> Iterator[Found | None]:
        """The names in order, and None for each that was looked at and is not told. RFC 9051 §6.3.9.3."""
        if "RECURSIVEMATCH" in self.options.selection:
            yield from self._recursively()
            return
        for name in self._candidates():
            yield self._told(name) if self._is_selected(name) and self._matches(name) else None

    def _recursively(self) -> Iterator[Found | None]:
        """Names above those that are selected, too, but where that would tell nothing new. RFC 9051 §6.3.9.6."""
        selected = {name for name in self._candidates() if self._is_selected(name)}
        hidden: list[str] = []
        for name in selected:
            if not self._matches(name):
                hidden.append(name)
            yield None
        above_selected, above_hidden = above(selected), above(hidden)
        selected.difference_update(hidden)
        for name in sorted(selected | above_hidden):
            is_told = name in selected or self._matches(name)
            criteria = (BASE,) if name in above_selected else ()
            yield self._told(name, criteria, name in selected) if is_told else None

    def _candidates(self) -> Iterable[str]:
        return self.listing.subscribed if "SUBSCRIBED" in self.options.selection else self._places

    def _matches(self, name: str) -> bool:
        return any(pattern.matches(name) for pattern in self.patterns)

    def _is_selected(self, name: str) -> bool:
        if "SPECIAL-USE" not in self.options.selection:
            return True
        place = self._places.get(name)
        return place is not None and self.listing.mailboxes[place].special_use != ""

    def _told(self, name: str, criteria: tuple[str, ...] = (), is_selected: bool = True) -> Found:
        place = self._places.get(name)
        attributes = [] if place is not None else ["\\NonExistent"]
        if self.options.tells_subscribed and name in self._subscribed:
            attributes.append("\\Subscribed")
        if place is not None or "CHILDREN" in self.options.returned:
            attributes.append("\\HasChildren" if name in self._parents else "\\HasNoChildren")
        if place is None:
            return Found(name, tuple(attributes), criteria=criteria, is_selected=is_selected)
        mailbox = self.listing.mailboxes[place]
        if mailbox.special_use:
            attributes.append(mailbox.special_use)
        return Found(name, tuple(attributes), mailbox, place, criteria, is_selected)


def select_lsub(
    subscribed: Iterable[str], patterns: list[Pattern], with_parents: bool
) -> Iterator[Found | None]:
    """The names that LSUB tells, and None for each that it does not. RFC 3501 §6.3.9.

    with_parents: the pattern ends with `%`, so that what stands above a subscribed name is \\Noselect.
    """
    names = set(subscribed)
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    if with_parents:
        found |= dict.fromkeys(above(names) - names, ("\\Noselect",))
    for name in sorted(found):
        is_told = any(pattern.matches(name) for pattern in patterns)
        yield Found(name, found[name]) if is_told else None


def above(names: Iterable[str]) -> set[str]:
    """Every name that stands above one of these."""
    parents: set[str] = set()
    for name in names:
        parent = name.rpartition(SEPARATOR)[0]
        while parent and parent not in parents:
            parents.add(parent)
            parent = parent.rpartition(SEPARATOR)[0]
    return parents
