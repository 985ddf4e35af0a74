"""What a reader of HTML sees of its text: without markup, with its character references told, white space made one.

The rule: linear in the octets whatever they are, and what waits for the next piece is bounded; nothing is a parse
tree, since only the words and their order matter.
"""

from __future__ import annotations

import html
import re
from typing import Final

_LONGEST_TAG: Final = 16 * 1024
_LONGEST_REFERENCE: Final = 40
# Elements within a line: words on both sides of their tags belong together.
_INLINE: Final = frozenset(
    (
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "cite",
            "code",
            "data",
            "del",
            "dfn",
            "em",
            "font",
            "i",
        ),
        *(
            "ins",
            "kbd",
            "label",
            "mark",
            "nobr",
            "o:p",
            "q",
            "s",
            "samp",
            "small",
            "span",
            "strike",
            "strong",
            "sub",
        ),
        *("sup", "time", "tt", "u", "var", "wbr"),
    )
)
_UNSEEN: Final = {name: re.compile(f"</{name}", re.IGNORECASE | re.ASCII) for name in ("script", "style")}
_COMMENT: Final = re.compile("-->")
_LONGEST_END: Final = 8
_NAME: Final = re.compile(r"</?([A-Za-z][A-Za-z0-9:-]{0,15}+)(?![A-Za-z0-9:-])")
_TAG: Final = re.compile(r"<[A-Za-z/!?]")
_SPACE: Final = re.compile(r"\s+")


class Visible:
    """Takes HTML piece by piece and gives what is seen of it."""

    __slots__ = ("_ends_in_space", "_rest", "_until")

    def __init__(self) -> None:
        self._rest = ""
        self._until: re.Pattern[str] | None = None  # what ends the comment or the unseen element that is open
        self._ends_in_space = True

    def feed(self, piece: str, *, is_last: bool = False) -> str:
        """What can be told of the text so far."""
        text = self._rest + piece
        out: list[str] = []
        place, close = 0, -1
        while place < len(text):
            if self._until is not None:
                place, self._until = _skip(text, place, self._until, is_last=is_last)
                if self._until is not None:
                    break
                continue
            start = text.find("<", place)
            if start < 0:
                place = self._tell(text, place, out, is_last=is_last)
                break
            if start > place:
                out.append(html.unescape(text[place:start]))
                place = start
            if text.startswith("<!--", place):
                self._until = _COMMENT
                place += 4
                continue
            if len(text) - place < 4 and not is_last:
                break
            if not _TAG.match(text, place):
                out.append("<")
                place += 1
                continue
            if -1 < close < place or close == -1:
                close = text.find(">", place)
                close = len(text) if close < 0 else close
            if close == len(text) and not is_last and close - place < _LONGEST_TAG:
                break
            if close == len(text):
                out.append("<")
                place += 1
                continue
            out.append(self._tag(text, place))
            place = close + 1
        self._rest = text[place:]
        return self._spaced("".join(out))

    def _tell(self, text: str, place: int, out: list[str], *, is_last: bool) -> int:
        """Text to the end, but for what may be the beginning of a character reference."""
        end = len(text)
        if not is_last:
            reference = text.rfind("&", max(place, end - _LONGEST_REFERENCE))
            if reference >= 0 and ";" not in text[reference:]:
                end = reference
        out.append(html.unescape(text[place:end]))
        return end

    def _tag(self, text: str, place: int) -> str:
        """What a tag is to the reader: nothing, or a space."""
        found = _NAME.match(text, place)
        name = found[1].lower() if found else ""
        if name in _UNSEEN and text[place + 1] != "/":
            self._until = _UNSEEN[name]
        return "" if name in _INLINE else " "

    def _spaced(self, text: str) -> str:
        text = _SPACE.sub(" ", text)
        if self._ends_in_space and text.startswith(" "):
            text = text[1:]
        if text:
            self._ends_in_space = text.endswith(" ")
        return text


def _skip(
    text: str, place: int, until: re.Pattern[str], *, is_last: bool
) -> tuple[int, re.Pattern[str] | None]:
    """Where what is not seen ends, and what is still waited for."""
    if found := until.search(text, place):
        # The end of an element is a tag of its own.
        return found.end() if until is _COMMENT else found.start(), None
    return (len(text) if is_last else max(place, len(text) - _LONGEST_END)), until
