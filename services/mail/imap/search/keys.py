"""Search keys, as the client wrote them. RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 5032, RFC 7162 §3.1.5.

The rule: a search is read in one pass into terms in postfix order; nothing from the wire becomes a pattern, and nesting
and number of keys are bounded. What only a session can tell (numbers, \\Recent, the time) becomes a term in `resolve`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import MAX_DEPTH, MAX_NUMBER64, Arguments
from services.mail.imap.numbers import Numbers
from services.mail.store import flags, search
from services.mail.store.search import Operator, Query
from services.mail.store.uids import Runs

DAY: Final = 86400
MAX_KEYS: Final = 1000
_EPOCH: Final = 719_163  # the ordinal of 1970-01-01


@dataclass(frozen=True, slots=True)
class InSet:
    """Sequence numbers, uids, or what was saved."""

    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Recent:
    """\\Recent. RFC 3501 §2.3.2."""


@dataclass(frozen=True, slots=True)
class Within:
    """Arrived in the last so many seconds. RFC 5032 §3.2."""

    seconds: int


Written = search.Term | InSet | Recent | Within

_FLAGS: Final = {
    word[1:].upper(): search.Flagged(word)
    for word in ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")
}
_FIELDS: Final = frozenset(("BCC", "CC", "FROM", "SUBJECT", "TO"))


@dataclass(frozen=True, slots=True)
class Keys:
    """The terms of a search."""

    terms: tuple[Written, ...]

    @property
    def tells_modseqs(self) -> bool:
        """Whether the answer holds a modseq. RFC 7162 §3.1.5."""
        return any(isinstance(term, search.Changed) for term in self.terms)

    @property
    def sets(self) -> list[Numbers]:
        """The sets among the keys, in their order."""
        return [term.numbers for term in self.terms if isinstance(term, InSet)]

    def resolve(self, sets: Iterable[Runs], recent: Runs, now: int) -> Query:
        """The query that the store understands.

        sets: for each set, the uids between which its messages lie, run by run. now: seconds since 1970.
        """
        uids = iter(sets)
        query: list[search.Term] = []
        for term in self.terms:
            match term:
                case InSet():
                    query.append(search.Among(next(uids)))
                case Recent():
                    query.append(search.Among(recent))
                case Within(seconds):
                    query.append(search.Arrived(since=now - seconds))
                case _:
                    query.append(term)
        return tuple(query)


def parse(args: Arguments, charset: str = "utf-8") -> Keys:
    """Reads one or more keys, all of which must hold, to the end of the command. charset: Python's name for it."""
    reader = _Reader(args, charset)
    reader.all_of(lambda: args.is_at_end)
    return Keys(tuple(reader.terms))


class _Reader:
    """Reads keys; an operator follows what it joins."""

    def __init__(self, args: Arguments, charset: str) -> None:
        self._args = args
        self._charset = charset
        self._keys = 0
        self.terms: list[Written] = []

    def all_of(self, is_at_end: Callable[[], bool], depth: int = 0) -> None:
        """One key or more."""
        self._key(depth)
        while not is_at_end():
            self._key(depth)
            self.terms.append(Operator.AND)

    def _key(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ProtocolError("nested too deeply")
        self._keys += 1
        if self._keys > MAX_KEYS:
            raise ProtocolError(f"a search has at most {MAX_KEYS} keys")
        args = self._args
        lead = args.peek()
        if lead == b"(":
            self._list(depth)
        elif lead.isdigit() or lead in (b"*", b"$"):
            self.terms.append(InSet(args.numbers()))
        else:
            word = args.atom("search key")
            if word == "NOT":
                self._key(depth + 1)
                self.terms.append(Operator.NOT)
            elif word == "OR":
                self._key(depth + 1)
                self._key(depth + 1)
                self.terms.append(Operator.OR)
            else:
                self._word(word)

    def _list(self, depth: int) -> None:
        many = 0

        def read() -> None:
            nonlocal many
            self._key(depth + 1)
            if many:
                self.terms.append(Operator.AND)
            many += 1

        self._args.list_of(read, "search keys")
        if not many:
            raise ProtocolError("missing search key")

    def _word(self, word: str) -> None:
        """A key that is a word with its arguments."""
        if word == "ALL":
            self._add(search.Everything())
        elif word in _FIELDS:
            self._add(search.InField(word, self._text()))
        elif word == "HEADER":
            name = self._args.astring("field name").decode("ascii", "replace")
            self._add(search.InField(name, self._text()))
        elif word == "BODY":
            self._add(search.InBody(self._text()))
        elif word == "TEXT":
            self._add(search.InText(self._text()))
        elif not (self._flag(word) or self._date(word) or self._number(word)):
            raise ProtocolError("no such search key")

    def _flag(self, word: str) -> bool:
        positive = word.removeprefix("UN")
        if positive in _FLAGS:
            self._add(_FLAGS[positive], negated=word != positive)
        elif positive == "KEYWORD":
            name = flags.canonical_flag(self._args.atom_as_is("keyword"))
            self._add(search.Flagged(name), negated=word != positive)
        elif word in ("RECENT", "OLD"):
            self._add(Recent(), negated=word == "OLD")
        elif word == "NEW":
            self._add(Recent())
            self._add(_FLAGS["SEEN"], negated=True)
            self.terms.append(Operator.AND)
        else:
            return False
        return True

    def _date(self, word: str) -> bool:
        key = word.removeprefix("SENT")
        if key not in ("BEFORE", "ON", "SINCE"):
            return False
        day = self._args.date().toordinal() - _EPOCH
        since, before = (search.FIRST, day) if key == "BEFORE" else (day, search.LAST)
        if key == "ON":
            before = day + 1
        if key != word:
            self._add(search.Sent(since, before))
        else:
            self._add(
                search.Arrived(
                    since if since == search.FIRST else since * DAY,
                    before if before == search.LAST else before * DAY,
                )
            )
        return True

    def _number(self, word: str) -> bool:
        args = self._args
        if word == "LARGER":
            self._add(search.Sized(least=args.number("size", MAX_NUMBER64) + 1))
        elif word == "SMALLER":
            self._add(search.Sized(most=args.number("size", MAX_NUMBER64) - 1))
        elif word == "UID":
            self._add(InSet(Numbers.parse(args.atom_set(), are_uids=True)))
        elif word in ("OLDER", "YOUNGER"):
            seconds = args.number("seconds")
            if not seconds:
                raise ProtocolError("an interval is at least one second")
            self._add(Within(seconds), negated=word == "OLDER")
        elif word == "MODSEQ":
            if args.peek() == b'"':
                # Which flag's modseq is meant: a message has but one. RFC 7162 §3.1.5.
                args.string("entry name")
                if args.atom("entry type") not in ("PRIV", "SHARED", "ALL"):
                    raise ProtocolError("an entry type is priv, shared or all")
            self._add(search.Changed(args.number("modseq", MAX_NUMBER64)))
        else:
            return False
        return True

    def _text(self) -> str:
        octets = self._args.astring("text")
        try:
            return octets.decode(self._charset)
        except UnicodeDecodeError:
            raise ProtocolError("the text is not of its charset") from None

    def _add(self, term: Written, *, negated: bool = False) -> None:
        self.terms.append(term)
        if negated:
            self.terms.append(Operator.NOT)
