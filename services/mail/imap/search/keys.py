"""Search keys over numbers, flags, dates and sizes. RFC 9051 §6.4.4.

The rule: a key is compiled once into a test of one row; nothing from the wire becomes a pattern, and nesting is bounded
by the arguments' depth. Keys that look into the text of a message are refused by name.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import MAX_DEPTH, MAX_NUMBER64, Arguments
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import RECENT
from services.mail.store.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, canonical_flag, flag_bits
from services.mail.store.messages import Items
from services.mail.store.uids import Runs

DAY: Final = 86400
MAX_KEYS: Final = 1000


class Row(NamedTuple):
    """What a test may look at. flags: with RECENT. internal_at: seconds since 1970."""

    uid: int
    flags: int
    internal_at: int
    size: int


Test = Callable[[Row], bool]


class Context(NamedTuple):
    """What turns a key into a test: the view's numbers, and the account's keywords."""

    resolve: Callable[[Numbers], Runs]
    keywords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """columns: what pages must bring. compile: the test, in a context. size: how many keys it is made of."""

    columns: Items
    compile: Callable[[Context], Test]
    size: int = 1


_FLAG_KEYS: Final = {
    "ANSWERED": ANSWERED, "DELETED": DELETED, "DRAFT": DRAFT, "FLAGGED": FLAGGED, "SEEN": SEEN, "RECENT": RECENT,
}  # fmt: skip
_DATES: Final[dict[str, Callable[[int, int], bool]]] = {
    "BEFORE": lambda at, day: at < day,
    "ON": lambda at, day: day <= at < day + DAY,
    "SINCE": lambda at, day: at >= day,
}
_IN_TEXT: Final = frozenset(
    ("BCC", "BODY", "CC", "FROM", "HEADER", "SENTBEFORE", "SENTON", "SENTSINCE", "SUBJECT", "TEXT", "TO")
)


def parse(args: Arguments) -> Key:
    """Reads one or more keys, all of which must hold, to the end of the command."""
    keys = [_key(args, 0)]
    while not args.is_at_end:
        keys.append(_key(args, 0))
    key = _every(keys)
    if key.size > MAX_KEYS:
        raise ProtocolError(f"a search has at most {MAX_KEYS} keys")
    return key


def _key(args: Arguments, depth: int) -> Key:
    if depth > MAX_DEPTH:
        raise ProtocolError("nested too deeply")
    lead = args.peek()
    if lead == b"(":
        keys = args.list_of(lambda: _key(args, depth + 1), "search keys")
        if not keys:
            raise ProtocolError("missing search key")
        return _every(keys)
    if lead.isdigit() or lead == b"*":
        return _members(args.numbers())
    word = args.atom("search key")
    if word == "NOT":
        inner = _key(args, depth + 1)
        return Key(inner.columns, lambda context: _negated(inner.compile(context)), inner.size + 1)
    if word == "OR":
        left, right = _key(args, depth + 1), _key(args, depth + 1)
        return Key(
            left.columns | right.columns,
            lambda context: _either(left.compile(context), right.compile(context)),
            left.size + right.size + 1,
        )
    return _simple(word, args)


def _simple(word: str, args: Arguments) -> Key:
    positive = word.removeprefix("UN")
    if word == "ALL":
        return Key(Items(0), lambda _: lambda _row: True)
    if positive in _FLAG_KEYS and word != "UNRECENT":
        return _flagged(_FLAG_KEYS[positive], 0) if word == positive else _flagged(0, _FLAG_KEYS[positive])
    if word == "NEW":
        return _flagged(RECENT, SEEN)
    if word == "OLD":
        return _flagged(0, RECENT)
    if positive == "KEYWORD":
        return _keyword(canonical_flag(args.atom_as_is("keyword")), word == "KEYWORD")
    if word in _DATES:
        compare, day = _DATES[word], calendar.timegm(args.date().timetuple())
        return Key(Items.INTERNALDATE, lambda _: lambda row: compare(row.internal_at, day))
    if word in ("LARGER", "SMALLER"):
        size = args.number("size", MAX_NUMBER64)
        if word == "LARGER":
            return Key(Items.SIZE, lambda _: lambda row: row.size > size)
        return Key(Items.SIZE, lambda _: lambda row: row.size < size)
    if word == "UID":
        return _members(Numbers.parse(args.atom_set(), are_uids=True))
    raise ProtocolError(
        f"the search key {word} is not supported" if word in _IN_TEXT else "no such search key"
    )


def _flagged(present: int, absent: int) -> Key:
    mask = present | absent
    return Key(Items.FLAGS, lambda _: lambda row: row.flags & mask == present)


def _keyword(name: str, is_wanted: bool) -> Key:
    def compile_(context: Context) -> Test:
        bits, _ = flag_bits((name,), context.keywords)
        return lambda row: bool(row.flags & bits) == is_wanted

    return Key(Items.FLAGS, compile_)


def _members(numbers: Numbers) -> Key:
    def compile_(context: Context) -> Test:
        runs = context.resolve(numbers)
        firsts = [first for first, _ in runs]

        def test(row: Row) -> bool:
            place = bisect_right(firsts, row.uid) - 1
            return place >= 0 and row.uid <= runs[place][1]

        return test

    return Key(Items(0), compile_)


def _every(keys: list[Key]) -> Key:
    if len(keys) == 1:
        return keys[0]
    columns = Items(0)
    for key in keys:
        columns |= key.columns

    def compile_(context: Context) -> Test:
        tests = [key.compile(context) for key in keys]
        return lambda row: all(test(row) for test in tests)

    return Key(columns, compile_, sum(key.size for key in keys) + 1)


def _negated(test: Test) -> Test:
    return lambda row: not test(row)


def _either(left: Test, right: Test) -> Test:
    return lambda row: left(row) or right(row)
