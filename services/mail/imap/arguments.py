"""The arguments of one framed command, read by a cursor that only moves forward. RFC 9051 §9.

Every method reads one argument together with the space in front of it. The rule: nothing is read twice and nothing is
searched for, so that a megabyte of anything costs a megabyte; nesting ends at MAX_DEPTH and a list at MAX_ELEMENTS.
Whatever is not the grammar raises ProtocolError, worded for a BAD.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Callable
from typing import Final, TypeVar

from services.mail.errors import ProtocolError
from services.mail.imap import names
from services.mail.imap.numbers import Numbers
from services.mail.store.flags import canonical_flag

MAX_DEPTH: Final = 50
MAX_ELEMENTS: Final = 10_000
MAX_NUMBER: Final = 2**32 - 1
MAX_NUMBER64: Final = 2**63 - 1

_TAG: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]++(?= |\Z)')
_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_ASTRING: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]++')
_ITEM: Final = re.compile(rb"[A-Za-z0-9.]++")
_LIST_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]++')
_FLAG: Final = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_ATTRIBUTE: Final = re.compile(rb'\\[^\x00-\x20\x7f-\xff(){%*"\\\]]++')
_QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n\x00]++|\\["\\])*+)"')
_LITERAL: Final = re.compile(rb"~?\{([0-9]{1,20})\+?\}\r\n")
_MESSAGE: Final = re.compile(rb"~?\{([0-9]{1,20})\+?\}\Z")
_NUMBER: Final = re.compile(rb"[0-9]++")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=]++")
_SET: Final = re.compile(rb"[0-9*:,]++|\$")
_DATE_TIME: Final = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_DATE: Final = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_EARLIEST: Final = calendar.timegm((1, 1, 1, 0, 0, 0))
_LATEST: Final = calendar.timegm((9999, 12, 31, 23, 59, 59))
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}

T = TypeVar("T")


class Arguments:
    """A cursor over one command's octets."""

    __slots__ = ("_depth", "_is_first", "are_names_utf8", "are_uids", "octets", "place")

    def __init__(self, octets: bytes, place: int = 0) -> None:
        self.octets = octets
        self.place = place
        self.are_uids = False  # whether sets name uids: the UID form of a command
        self.are_names_utf8 = False  # whether mailbox names are UTF-8 (RFC 9051 §5.1), not modified UTF-7
        self._is_first = place == 0
        self._depth = 0

    # --- what stands between arguments

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self.place == len(self.octets)

    def end(self) -> None:
        """Raises ProtocolError where anything is left."""
        if not self.is_at_end:
            raise ProtocolError("more arguments than the command has")

    def peek(self) -> bytes:
        """The first octet of the next argument, past its space; empty at the end. Moves nothing."""
        place = self.place if self._is_first else self.place + 1
        return self.octets[place : place + 1]

    def take(self, octets: bytes) -> bool:
        """Moves past these octets (ASCII, without case) where they come right now."""
        end = self.place + len(octets)
        if self.octets[self.place : end].upper() != octets:
            return False
        self.place = end
        return True

    def match(self, pattern: re.Pattern[bytes], wanted: str) -> re.Match[bytes]:
        """Moves past a pattern that must come right now; the pattern may not search."""
        found = pattern.match(self.octets, self.place)
        if found is None:
            raise ProtocolError(f"expected {wanted}" if not self.is_at_end else f"missing {wanted}")
        self.place = found.end()
        return found

    def _separate(self, wanted: str) -> None:
        if self._is_first:
            self._is_first = False
        elif self.is_at_end:
            raise ProtocolError(f"missing {wanted}")
        elif not self.take(b" "):
            raise ProtocolError(f"expected a space before {wanted}")

    # --- arguments

    def tag(self) -> bytes:
        """The command's tag. Raises ProtocolError where it is none."""
        self._separate("tag")
        return self.match(_TAG, "tag")[0]

    def atom(self, wanted: str = "atom") -> str:
        """An atom in capitals: a verb, the name of an item."""
        self._separate(wanted)
        return self.match(_ATOM, wanted)[0].decode("ascii").upper()

    def follows(self, word: bytes) -> bool:
        """Whether this word (capitals) comes next as a whole. Moves nothing."""
        start = self.place if self._is_first else self.place + 1
        end = start + len(word)
        return self.octets[start:end].upper() == word and self.octets[end : end + 1] in (b" ", b")", b"")

    def atom_as_is(self, wanted: str) -> str:
        """An atom as it was written: a keyword."""
        self._separate(wanted)
        return self.match(_ATOM, wanted)[0].decode("ascii")

    def atom_set(self) -> bytes:
        """The octets of a sequence set."""
        self._separate("sequence set")
        return self.match(_SET, "sequence set")[0]

    def base64(self) -> bytes:
        """An initial response, still encoded; `=` for an empty one. RFC 4959 §3."""
        self._separate("initial response")
        return self.match(_BASE64, "initial response")[0]

    def item(self, wanted: str = "item") -> str:
        """The name of a FETCH item in capitals, up to a `[` that may follow it."""
        self._separate(wanted)
        return self.match(_ITEM, wanted)[0].decode("ascii").upper()

    def astring(self, wanted: str = "string") -> bytes:
        """An atom or a string; the octets that it stands for."""
        self._separate(wanted)
        return self._string(_ASTRING, wanted)

    def string(self, wanted: str = "string") -> bytes:
        """A quoted string or a literal."""
        self._separate(wanted)
        return self._string(None, wanted)

    def nstring(self, wanted: str = "string") -> bytes | None:
        """A string, or NIL."""
        self._separate(wanted)
        return None if self.take(b"NIL") else self._string(None, wanted)

    def number(self, wanted: str = "number", most: int = MAX_NUMBER) -> int:
        """A number from 0 to `most`."""
        self._separate(wanted)
        digits = self.match(_NUMBER, wanted)[0]
        if len(digits) > 20 or (number := int(digits)) > most:
            raise ProtocolError(f"{wanted} is too large")
        return number

    def numbers(self) -> Numbers:
        """A sequence set."""
        return Numbers.parse(self.atom_set(), self.are_uids)

    def mailbox(self) -> str:
        """A mailbox name, decoded and not yet canonical. Raises InvalidName too."""
        return self._name(self.astring("mailbox name"))

    def message_size(self) -> int:
        """Octets of the message literal whose mark ends the command (APPEND; the octets come apart)."""
        self._separate("message literal")
        return int(self.match(_MESSAGE, "message literal")[1])

    def list_mailbox(self) -> str:
        """A LIST pattern, decoded. Raises InvalidName too."""
        self._separate("mailbox pattern")
        return self._name(self._string(_LIST_ATOM, "mailbox pattern"))

    def _name(self, octets: bytes) -> str:
        return names.decode_utf8(octets) if self.are_names_utf8 else names.decode(octets)

    def attribute(self) -> str:
        """An attribute of a mailbox, such as `\\Sent`. RFC 6154 §6 (use-attr)."""
        self._separate("attribute")
        return self.match(_ATTRIBUTE, "attribute")[0].decode("ascii")

    def flags(self) -> tuple[str, ...]:
        """Flags, in parentheses or (STORE) without. Raises InvalidArgument too."""
        if self.peek() == b"(":
            return tuple(self.list_of(self._flag))
        return tuple(self.rest_of(self._flag))

    def _flag(self) -> str:
        self._separate("flag")
        return canonical_flag(self.match(_FLAG, "flag")[0].decode("ascii"))

    def date_time(self) -> int:
        """A date-time as seconds since 1970, in the years 1 to 9999 in UTC too. RFC 9051 §9 (date-time)."""
        self._separate("date-time")
        found = self.match(_DATE_TIME, "date-time")
        date = _date(found[1].strip(), found[2], found[3])
        hour, minute, second = int(found[4]), int(found[5]), int(found[6])
        ahead, past = int(found[8]), int(found[9])
        if hour > 23 or minute > 59 or second > 60 or ahead > 23 or past > 59:
            raise ProtocolError("no such time")
        offset = (ahead * 60 + past) * (-60 if found[7] == b"+" else 60)
        local = calendar.timegm((date.year, date.month, date.day, hour, minute, min(second, 59)))
        return max(_EARLIEST, min(local + offset, _LATEST))

    def date(self) -> dt.date:
        """A date, quoted or not. RFC 9051 §9 (date)."""
        self._separate("date")
        found = self.match(_DATE, "date")
        return _date(found[2], found[3], found[4])

    def list_of(self, item: Callable[[], T], wanted: str = "list") -> list[T]:
        """A parenthesized list, perhaps empty; `item` reads each. Raises ProtocolError beyond its bounds."""
        self._separate(wanted)
        if not self.take(b"("):
            raise ProtocolError(f"expected {wanted}" if not self.is_at_end else f"missing {wanted}")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ProtocolError("nested too deeply")
        found: list[T] = []
        self._is_first = True
        while not self.take(b")"):
            found.append(item())
            _check_count(found)
        self._is_first = False
        self._depth -= 1
        return found

    def rest_of(self, item: Callable[[], T]) -> list[T]:
        """One or more to the end of the command; `item` reads each. Raises ProtocolError beyond MAX_ELEMENTS."""
        found = [item()]
        while not self.is_at_end:
            found.append(item())
            _check_count(found)
        return found

    def _string(self, atom: re.Pattern[bytes] | None, wanted: str) -> bytes:
        octets, place = self.octets, self.place
        lead = octets[place : place + 1]
        if lead == b'"':
            inside = self.match(_QUOTED, f"{wanted} in quotes")[1]
            return re.sub(rb"\\(.)", rb"\1", inside) if b"\\" in inside else inside
        if lead in (b"{", b"~") and (found := _LITERAL.match(octets, place)):
            end = found.end() + int(found[1])
            literal = octets[found.end() : end]
            if b"\0" in literal:
                raise ProtocolError(f"NUL in {wanted}")
            self.place = end
            return literal
        if atom is None:
            raise ProtocolError(f"expected {wanted} in quotes or as a literal")
        return self.match(atom, wanted)[0]


def _check_count(found: list[T]) -> None:
    """Said early: reading the rest would keep everybody else waiting."""
    if len(found) > MAX_ELEMENTS:
        raise ProtocolError("a list has too many elements")


def _date(day: bytes, month: bytes, year: bytes) -> dt.date:
    try:
        return dt.date(int(year), _MONTHS[month.lower()], int(day))
    except (KeyError, ValueError):
        raise ProtocolError("no such date") from None
