"""An answer as facts that two right servers must share: a name for each, and a tree.

The rule: whatever is made equal here has a line in docs/differences.md under "Not compared"; nothing else may be lost.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeAlias

from tests.differential.client import Answer
from tests.differential.replies import Tree, parse, show

Facts: TypeAlias = "dict[str, Tree]"

ANY: Final = "*"
RECENTLY: Final = 86400

# Numbers that each server chooses.
_CHOSEN: Final = frozenset(("UIDVALIDITY", "HIGHESTMODSEQ", "MAILBOXID", "MODSEQ", "NOMODSEQ"))
# Codes that a server may leave out, and whose absence changes nothing for a client.
_OPTIONAL: Final = frozenset(("CAPABILITY", "CLIENTBUG", "ALERT"))
# What a server need not tell when a mailbox is opened.
_UNTOLD: Final = frozenset(("HIGHESTMODSEQ", "MAILBOXID"))
_SET: Final = re.compile(r"[\d:,]+\Z")
_SECTION: Final = re.compile(r"(BODY|BINARY|BINARY\.SIZE)\[(.*)\](<\d+>)?\Z", re.IGNORECASE | re.DOTALL)
_TAGGED: Final = re.compile(rb"(OK|NO|BAD)( |\Z)")
_CODED: Final = re.compile(
    rb"(OK|NO|BAD|BYE|PREAUTH)(?: (?:\[([^]]*(?:\([^)]*\))?[^]]*)\])?.*)?\Z", re.DOTALL
)


def facts(answer: Answer) -> Facts:
    """What an answer says, without what may differ."""
    found: Facts = {"tagged": answer.tagged.decode("latin-1") or "the connection ends"}
    if answer.tagged not in (b"", b"+"):
        word, code = _status(answer.tagged)
        found["tagged"] = word
        if isinstance(code, list) and code[0] not in _OPTIONAL:
            found["code"] = code
    gone = _Gone()
    for reply in answer.untagged:
        _untagged(reply.removeprefix(b"* "), found, gone)
    if gone.places:
        found["EXPUNGE"] = _numbers(gone.places)
    if "OK UIDVALIDITY" not in found:
        found.pop("RECENT", None)
    return found


class _Gone:
    """Which messages EXPUNGE has told, by their numbers at the start of the command."""

    def __init__(self) -> None:
        self.places: list[int] = []

    def original(self, number: int) -> int:
        """The number that a message had before."""
        for place in self.places:
            number += place <= number
        return number

    def add(self, number: int) -> None:
        self.places = sorted([*self.places, self.original(number)])


def _untagged(reply: bytes, found: Facts, gone: _Gone) -> None:
    first, _, rest = reply.partition(b" ")
    word = first.decode("latin-1").upper()
    if word in ("OK", "NO", "BAD", "BYE", "PREAUTH"):
        _unasked(reply, found)
    elif _TAGGED.match(rest):
        found[word] = _status(rest)[0]
    elif first.isdigit():
        _numbered(int(first), parse(rest), found, gone)
    else:
        _DATA.get(word, _as_it_is)(word, parse(rest), found)


def _unasked(reply: bytes, found: Facts) -> None:
    """An untagged status: its code; without one only a refusal says something."""
    status, code = _status(reply)
    if isinstance(code, list):
        if code[0] not in _UNTOLD:
            found[f"{status} {show(code[0])}"] = code[1:]
    elif status != "OK":
        found[f"untagged {status}"] = ""


def _as_it_is(word: str, words: list[Tree], found: Facts) -> None:
    found[word] = [*words]


def _nothing(_word: str, _words: list[Tree], _found: Facts) -> None:
    """What is not compared."""


def _listed(word: str, words: list[Tree], found: Facts) -> None:
    attributes, separator, name, *more = words
    found[f"{word} {_name(name)}"] = [_attributes(word, attributes), separator, *map(_unquoted, more)]


def _unquoted(tree: Tree) -> Tree:
    """Words of extended data, which may be quoted or not (RFC 5258 §6)."""
    if isinstance(tree, list):
        return [_unquoted(each) for each in tree]
    return tree.decode("latin-1") if isinstance(tree, bytes) else tree


def _counted(word: str, words: list[Tree], found: Facts) -> None:
    for key, value in _pairs(words[1]):
        found[f"{word} {_name(words[0])} {key}"] = ANY if key in _CHOSEN else value


def _flagged(word: str, words: list[Tree], found: Facts) -> None:
    found[word] = _flags(words[0])


def _searched(word: str, words: list[Tree], found: Facts) -> None:
    numbers = [each for each in words if isinstance(each, str)]
    found[word] = [*sorted(numbers, key=int)]
    if len(numbers) < len(words):
        found[f"{word} MODSEQ"] = ANY


def _searched_more(word: str, words: list[Tree], found: Facts) -> None:
    if words and isinstance(words[0], list):
        found[f"{word} TAG"] = words.pop(0)
    found[word] = "UID" if words and words[0] == "UID" else ""
    if found[word]:
        words.pop(0)
    for key, value in zip(words[::2], words[1::2], strict=True):
        found[f"{word} {show(key)}"] = ANY if key in _CHOSEN else _expanded(value)


def _vanished(word: str, words: list[Tree], found: Facts) -> None:
    found[f"{word} EARLIER" if isinstance(words[0], list) else word] = _expanded(words[-1])


def _enabled(word: str, words: list[Tree], found: Facts) -> None:
    found[word] = [*sorted(show(each).upper() for each in words)]


def _told(word: str, _words: list[Tree], found: Facts) -> None:
    found[word] = ANY


_DATA: Final[dict[str, Callable[[str, list[Tree], Facts], None]]] = {
    "LIST": _listed,
    "LSUB": _listed,
    "STATUS": _counted,
    "FLAGS": _flagged,
    "SEARCH": _searched,
    "ESEARCH": _searched_more,
    "VANISHED": _vanished,
    "ENABLED": _enabled,
    "ID": _told,
    "CAPABILITY": _nothing,
}


def _numbered(number: int, words: list[Tree], found: Facts, gone: _Gone) -> None:
    word = str(words[0]).upper()
    if word == "EXPUNGE":
        gone.add(number)
    elif word == "FETCH":
        for key, value in _pairs(words[1]):
            found[f"FETCH {gone.original(number)} {_item(key)}"] = _value(key, value)
    else:
        found[word] = str(number)


def _value(key: str, value: Tree) -> Tree:
    if key == "FLAGS":
        return _flags(value)
    if key in _CHOSEN:
        return ANY
    if key.startswith("BODY["):
        return value or b""
    if key in ("INTERNALDATE", "SAVEDATE") and isinstance(value, bytes):
        at = datetime.strptime(value.decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)
        is_new = abs((datetime.now(UTC) - at).total_seconds()) < RECENTLY
        return "now" if is_new else at.isoformat()
    return value


def _status(reply: bytes) -> tuple[str, Tree]:
    """The word of a status reply, and its code as [name, arguments...]; "" without one."""
    found = _CODED.fullmatch(reply)
    if found is None:
        raise ValueError(f"no status: {reply!r}")
    word = found[1].decode()
    if not found[2]:
        return word, ""
    code = parse(found[2])
    name = str(code[0]).upper()
    if name in _CHOSEN:
        return word, [name, ANY]
    if name == "CAPABILITY":
        return word, [name]
    if name == "PERMANENTFLAGS":
        return word, [name, _flags(code[1])]
    if name in ("APPENDUID", "COPYUID", "MODIFIED"):
        sets: list[Tree] = [_expanded(each) for each in code[1:]]
        return word, [name, *([ANY, *sets[1:]] if name != "MODIFIED" else sets)]
    return word, [name, *code[1:]]


def _pairs(tree: Tree) -> list[tuple[str, Tree]]:
    assert isinstance(tree, list)
    return [(str(key).upper(), value) for key, value in zip(tree[::2], tree[1::2], strict=True)]


def _item(key: str) -> str:
    """The name of a FETCH item; field names without quotes and in capitals."""
    found = _SECTION.fullmatch(key)
    if found is None:
        return key
    return f"{found[1]}[{found[2].replace(chr(34), '')}]{found[3] or ''}".upper()


def _attributes(word: str, tree: Tree) -> Tree:
    assert isinstance(tree, list)
    found = {str(each).upper() for each in tree} - {"\\MARKED", "\\UNMARKED"}
    return [*sorted(found & {"\\NOSELECT"} if word == "LSUB" else found)]


def _flags(tree: Tree) -> Tree:
    assert isinstance(tree, list)
    return [*sorted((str(each) for each in tree), key=str.upper)]


def _expanded(tree: Tree) -> Tree:
    """A set as its numbers; anything else as it is."""
    if not isinstance(tree, str) or not _SET.match(tree):
        return tree
    numbers: list[int] = []
    for part in tree.split(","):
        first, _, last = part.partition(":")
        numbers += range(*sorted((int(first), int(last or first) + 1)))
    return _numbers(numbers)


def _numbers(numbers: list[int]) -> Tree:
    return [str(number) for number in numbers]


def _name(tree: Tree) -> str:
    """A mailbox's name, however it was spelled."""
    name = tree.decode("latin-1") if isinstance(tree, bytes) else str(tree)
    return "INBOX" if name.upper() == "INBOX" else (name or '""')
