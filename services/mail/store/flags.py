"""Flags and keywords as one integer, and their names.

Bits 0 to 4 are the system flags of RFC 9051 §2.3.2; bit 5 is spare; bit 6 + n is keyword n of the account, numbered in
the order in which the account first used them, so that COPY remaps nothing. A Python integer has no upper bound, so any
number of keywords fits. \\Recent is not stored: it follows from `first_recent`. The rule: a bit, once given, never
changes its meaning.
"""

from collections.abc import Collection, Sequence
from typing import Final

from services.mail.errors import InvalidArgument

SEEN: Final = 1
ANSWERED: Final = 2
FLAGGED: Final = 4
DELETED: Final = 8
DRAFT: Final = 16

SYSTEM: Final = {
    "\\Seen": SEEN,
    "\\Answered": ANSWERED,
    "\\Flagged": FLAGGED,
    "\\Deleted": DELETED,
    "\\Draft": DRAFT,
}
FIRST_KEYWORD_BIT: Final = 6
MAX_KEYWORDS: Final = 1000
MAX_KEYWORD_LENGTH: Final = 255

_FOLDED: Final = {name.casefold(): name for name in SYSTEM}
_NOT_IN_ATOM: Final = frozenset('(){ %*"\\]')


def canonical_flag(name: str) -> str:
    """A system flag in its usual case, or the keyword as it is.

    Raises InvalidArgument for \\Recent, an unknown \\Flag, and what is not an atom (RFC 9051 §9, flag-keyword).
    """
    if name.startswith("\\"):
        known = _FOLDED.get(name.casefold())
        if known is None:
            raise InvalidArgument(f"no such flag: {name[:40]}")
        return known
    if not name or len(name) > MAX_KEYWORD_LENGTH:
        raise InvalidArgument(f"a keyword has 1 to {MAX_KEYWORD_LENGTH} characters")
    if not name.isascii() or not name.isprintable() or not _NOT_IN_ATOM.isdisjoint(name):
        raise InvalidArgument("a keyword is an atom")
    return name


def flag_names(flags: int, keywords: Sequence[str]) -> list[str]:
    """System flags first, then keywords by number; `keywords` are the account's, by number."""
    names = [name for name, bit in SYSTEM.items() if flags & bit]
    rest = flags >> FIRST_KEYWORD_BIT
    while rest:
        number = (rest & -rest).bit_length() - 1
        if number < len(keywords):
            names.append(keywords[number])
        rest &= rest - 1
    return names


def flag_bits(names: Collection[str], keywords: Sequence[str]) -> tuple[int, list[str]]:
    """The bits of the names that are known, and the keywords that have no number yet, in order.

    Keywords are compared without case (RFC 9051 §2.3.2); the first spelling stays.
    """
    numbers = {keyword.casefold(): number for number, keyword in enumerate(keywords)}
    bits = 0
    unknown: dict[str, str] = {}
    for name in names:
        if name in SYSTEM:
            bits |= SYSTEM[name]
        elif (number := numbers.get(folded := name.casefold())) is not None:
            bits |= 1 << (FIRST_KEYWORD_BIT + number)
        else:
            unknown.setdefault(folded, name)
    return bits, list(unknown.values())
