"""What a server says, as values. RFC 9051 §7.

The rule: nothing is judged here; what cannot be read at all is the one violation that this module raises.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.stress.violations import Violation

Value = bytes | None | list["Value"]

_ATOM = re.compile(rb'[^ ()\r\n"{]+')
_KEY = re.compile(rb"[A-Za-z0-9.]+(?:\[[^\]]*\](?:<\d+>)?)?")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\["\\])*)"')
_LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")


@dataclass(frozen=True, slots=True)
class Tagged:
    """The end of a command. word: OK, NO or BAD; code: the response code's words, empty for none."""

    tag: str
    word: str
    code: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Untagged OK, NO, BAD, BYE. RFC 9051 §7.1."""

    word: str
    code: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True)
class Continuation:
    """`+`. RFC 9051 §7.6."""


@dataclass(frozen=True, slots=True)
class Exists:
    """EXISTS. RFC 9051 §7.4.1."""

    count: int


@dataclass(frozen=True, slots=True)
class Recent:
    """RECENT. RFC 3501 §7.3.2."""

    count: int


@dataclass(frozen=True, slots=True)
class Expunge:
    """EXPUNGE. RFC 9051 §7.5.1."""

    number: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """VANISHED. RFC 7162 §3.2.10."""

    uids: Sequence[int]
    is_earlier: bool


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH: items by their names, in capitals, each with its value and the octets that spelled it. RFC 9051 §7.5.2."""

    number: int
    items: Mapping[str, tuple[Value, bytes]]

    def integer(self, name: str) -> int | None:
        """A number, or a number in parentheses, as MODSEQ is."""
        if name not in self.items:
            return None
        value = self.items[name][0]
        if isinstance(value, list):
            value = value[0]
        if not isinstance(value, bytes) or not value.isdigit():
            raise Violation("grammar", f"{name} is {value!r}")
        return int(value)

    def flags(self) -> frozenset[str] | None:
        """FLAGS."""
        value = self.items["FLAGS"][0] if "FLAGS" in self.items else None
        return (
            frozenset(each.decode() for each in value if isinstance(each, bytes))
            if isinstance(value, list)
            else None
        )


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH, or ESEARCH with its tag and options as words. RFC 3501 §7.2.5, RFC 9051 §7.3.4."""

    found: Sequence[int]
    tag: str = ""
    are_uids: bool = False
    options: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Counters:
    """STATUS. RFC 9051 §7.3.5."""

    name: bytes
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Listed:
    """LIST."""

    name: bytes
    attributes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Other:
    """What no rule looks at."""

    word: str
    octets: bytes


Reply = (
    Tagged
    | Condition
    | Continuation
    | Exists
    | Recent
    | Expunge
    | Vanished
    | Fetch
    | Search
    | Counters
    | Listed
    | Other
)


class _Scanner:
    def __init__(self, octets: bytes, at: int = 0) -> None:
        self.octets, self.at = octets, at

    def next(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        found = pattern.match(self.octets, self.at)
        if found is None:
            raise Violation(
                "grammar", f"cannot read {self.octets[self.at : self.at + 80]!r} of {self.octets[:200]!r}"
            )
        self.at = found.end()
        return found

    def peek(self) -> bytes:
        return self.octets[self.at : self.at + 1]

    def skip(self, octets: bytes) -> bool:
        if not self.octets.startswith(octets, self.at):
            return False
        self.at += len(octets)
        return True

    def value(self) -> Value:
        match self.peek():
            case b"(":
                return self.list_of(self.value)
            case b'"':
                return self.next(_QUOTED)[1].replace(b'\\"', b'"').replace(b"\\\\", b"\\")
            case b"{" | b"~":
                size = int(self.next(_LITERAL)[1])
                self.at += size
                return self.octets[self.at - size : self.at]
        atom = self.next(_ATOM)[0]
        return None if atom.upper() == b"NIL" else atom

    def list_of(self, one: "Callable[[], Value]") -> list[Value]:
        found: list[Value] = []
        self.at += 1
        while not self.skip(b")"):
            found.append(one())
            self.skip(b" ")
        return found


def ranges(text: str) -> list[int]:
    """The members of a set without `*`, in its order. RFC 9051 §9, sequence-set."""
    found: list[int] = []
    for each in text.split(","):
        first, _, last = each.partition(":")
        low, high = sorted((int(first), int(last or first)))
        if high - low > 1_000_000:
            raise Violation("grammar", f"a set of absurd size {text[:80]}")
        found += range(low, high + 1)
    return found


def parse(octets: bytes) -> Reply:
    """One whole response with its line end. Raises Violation for what is none."""
    if octets.startswith(b"+"):
        return Continuation()
    tag, _, rest = octets.partition(b" ")
    if tag != b"*":
        word, code, text = _condition(rest)
        return Tagged(tag.decode("ascii", "replace"), word, code, text)
    scanner = _Scanner(octets, 2)
    word = scanner.next(_ATOM)[0].decode("ascii", "replace").upper()
    if word.isdigit():
        return _numbered(scanner, int(word))
    if word in ("OK", "NO", "BAD", "BYE", "PREAUTH"):
        return Condition(*_condition(rest))
    scanner.skip(b" ")
    return _READERS.get(word, _other)(scanner, word)


def _condition(rest: bytes) -> tuple[str, Sequence[str], str]:
    word, _, text = rest.rstrip(b"\r\n").decode("ascii", "replace").partition(" ")
    if word not in ("OK", "NO", "BAD", "BYE", "PREAUTH"):
        raise Violation("grammar", f"no such answer: {rest[:200]!r}")
    if not text.startswith("["):
        return word, (), text
    code, _, text = text[1:].partition("]")
    return word, code.split(" "), text.strip()


def _numbered(scanner: _Scanner, number: int) -> Reply:
    scanner.skip(b" ")
    match scanner.next(_ATOM)[0].upper():
        case b"EXISTS":
            return Exists(number)
        case b"RECENT":
            return Recent(number)
        case b"EXPUNGE":
            return Expunge(number)
        case b"FETCH":
            scanner.skip(b" ")
            return Fetch(number, _items(scanner))
        case other:
            raise Violation("grammar", f"* {number} {other!r}")


def _items(scanner: _Scanner) -> dict[str, tuple[Value, bytes]]:
    items: dict[str, tuple[Value, bytes]] = {}
    if not scanner.skip(b"("):
        raise Violation("grammar", f"FETCH without a list: {scanner.octets[:200]!r}")
    while not scanner.skip(b")"):
        key = scanner.next(_KEY)[0].decode().upper()
        scanner.skip(b" ")
        start = scanner.at
        value = scanner.value()
        if key in items:
            raise Violation("grammar", f"{key} twice in one FETCH: {scanner.octets[:200]!r}")
        items[key] = value, scanner.octets[start : scanner.at]
        scanner.skip(b" ")
    if scanner.octets[scanner.at :] != b"\r\n":
        raise Violation("grammar", f"FETCH goes on behind its list: {scanner.octets[-200:]!r}")
    return items


def _search(scanner: _Scanner, _: str) -> Reply:
    words = scanner.octets[scanner.at :].decode("ascii").partition("(")[0].split()
    return Search([int(word) for word in words])


def _esearch(scanner: _Scanner, _: str) -> Reply:
    text = scanner.octets[scanner.at :].decode("ascii").strip()
    correlator = re.match(r'\(TAG "([^"]*)"\) ?', text, re.IGNORECASE)
    words = text[correlator.end() if correlator else 0 :].upper().split()
    are_uids = words[:1] == ["UID"]
    words = words[are_uids:]
    options = dict(zip(words[::2], words[1::2], strict=True))
    found = ranges(options["ALL"]) if "ALL" in options else []
    return Search(found, correlator[1] if correlator else "", are_uids, options)


def _vanished(scanner: _Scanner, _: str) -> Reply:
    is_earlier = scanner.skip(b"(EARLIER) ")
    return Vanished(ranges(scanner.next(_ATOM)[0].decode("ascii")), is_earlier)


def _status(scanner: _Scanner, _: str) -> Reply:
    name, _space, values = scanner.value(), scanner.skip(b" "), scanner.value()
    if not isinstance(name, bytes) or not isinstance(values, list):
        raise Violation("grammar", f"STATUS: {scanner.octets[:200]!r}")
    words = [each.decode() if isinstance(each, bytes) else "" for each in values]
    return Counters(
        name, {word.upper(): int(value) for word, value in zip(words[::2], words[1::2], strict=True)}
    )


def _listed(scanner: _Scanner, _: str) -> Reply:
    attributes, _space, _separator, _again = (
        scanner.value(),
        scanner.skip(b" "),
        scanner.value(),
        scanner.skip(b" "),
    )
    name = scanner.value()
    if not isinstance(name, bytes) or not isinstance(attributes, list):
        raise Violation("grammar", f"LIST: {scanner.octets[:200]!r}")
    return Listed(name, [each.decode() for each in attributes if isinstance(each, bytes)])


def _other(scanner: _Scanner, word: str) -> Reply:
    return Other(word, scanner.octets)


_READERS: Mapping[str, Callable[[_Scanner, str], Reply]] = {
    "SEARCH": _search,
    "ESEARCH": _esearch,
    "VANISHED": _vanished,
    "STATUS": _status,
    "LIST": _listed,
}
