"""i;unicode-casemap: two texts are compared after every character of both was folded. RFC 5051 §2.

The rule: a character's folding depends on nothing but itself, so that a text may be folded piece by piece.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_MOST_REMEMBERED: Final = 20_000
_BEYOND_ASCII: Final = re.compile("([^\0-\x7f]+)")
_HANGUL: Final = range(0xAC00, 0xD7A4)  # decomposed by arithmetic, not by a property of UnicodeData.txt
_NONCHARACTER: Final = 0xFFFF

# Stands between texts that are kept together. No folded text holds it, so nothing is found across it.
BREAK: Final = chr(_NONCHARACTER)


def fold(text: str) -> str:
    """The text as it is compared: titlecased and decomposed, again and again until nothing changes. RFC 5051 §2."""
    if text.isascii():
        return text.upper()
    pieces = _BEYOND_ASCII.split(text)
    pieces[::2] = [piece.upper() for piece in pieces[::2]]
    pieces[1::2] = [piece.translate(_FOLDED) for piece in pieces[1::2]]
    return "".join(pieces)


class _Folded(dict[int, str]):
    """Characters folded so far."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        found = self[code] = _fold_character(code)
        return found


def _fold_character(code: int) -> str:
    if code == _NONCHARACTER:
        return "\N{REPLACEMENT CHARACTER}"
    text = chr(code)
    while (next_ := "".join(map(_step, text))) != text:
        text = next_
    return text


def _step(character: str) -> str:
    """One titlecase mapping, or else one decomposition; both as UnicodeData.txt has them, hence simple ones only."""
    titled = character.title()
    if len(titled) == 1 and titled != character:
        return titled
    if ord(character) in _HANGUL:
        return character
    decomposed = unicodedata.decomposition(character)
    if not decomposed:
        return character
    codes = decomposed.rpartition(">")[2].split()
    return "".join(chr(int(each, 16)) for each in codes)


_FOLDED: Final = _Folded()
