"""What a server said, as trees: one reply with its literals is read from a stream, and taken apart. RFC 9051 §7, §9.

The rule: nothing is made equal here; that is `normal`'s. An atom is str, a string is bytes, NIL is None, a list is a
list. The section of a BODY[...] belongs to its atom.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

Tree: TypeAlias = "str | bytes | list[Tree] | None"

_LITERAL: Final = re.compile(rb"~?\{(\d+)\+?\}\r\n\Z")
_LITERAL_AT: Final = re.compile(rb"~?\{(\d+)\+?\}\r\n")
_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ATOM: Final = re.compile(rb'[^ ()"\r\n\[\]]+')
_SECTIONED: Final = re.compile(
    rb'(?:BODY|BINARY|BINARY\.SIZE)\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\](?:<\d+>)?', re.IGNORECASE
)


def read_reply(line: Callable[[], bytes], octets: Callable[[int], bytes]) -> bytes:
    """One reply with its literals and without its last line end; empty at the end of the stream."""
    whole = line()
    while found := _LITERAL.search(whole[-32:]):
        whole += octets(int(found[1])) + line()
    return whole.removesuffix(b"\r\n")


def parse(reply: bytes) -> list[Tree]:
    """The words of a reply; a text that people read is no tree and is left out by the caller."""
    found: list[Tree] = []
    place = 0
    stack = [found]
    while place < len(reply):
        lead = reply[place : place + 1]
        if lead == b" ":
            place += 1
        elif lead in b"([":
            inner: list[Tree] = []
            stack[-1].append(inner)
            stack.append(inner)
            place += 1
        elif lead in b")]":
            stack.pop()
            if not stack:
                raise ValueError(f"a bracket too many: {reply!r}")
            place += 1
        elif lead == b'"':
            quoted = _match(_QUOTED, reply, place)
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL))
            place = quoted.end()
        elif literal := _LITERAL_AT.match(reply, place):
            place = literal.end() + int(literal[1])
            stack[-1].append(reply[literal.end() : place])
        else:
            atom = _SECTIONED.match(reply, place) or _match(_ATOM, reply, place)
            word = atom[0].decode("latin-1")
            stack[-1].append(None if word.upper() == "NIL" else word)
            place = atom.end()
    if len(stack) != 1:
        raise ValueError(f"a bracket is open: {reply!r}")
    return found


def _match(pattern: re.Pattern[bytes], reply: bytes, place: int) -> re.Match[bytes]:
    found = pattern.match(reply, place)
    if found is None:
        raise ValueError(f"no word at {place}: {reply!r}")
    return found


def show(tree: Tree) -> str:
    """A tree as it would be written, for people."""
    if tree is None:
        return "NIL"
    if isinstance(tree, list):
        return f"({' '.join(map(show, tree))})"
    if isinstance(tree, bytes):
        return '"' + repr(tree)[2:-1].replace('"', r"\"").replace("`", r"\x60").replace("|", r"\x7c") + '"'
    return tree
