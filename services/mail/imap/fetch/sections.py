"""BODY[...]: which octets of a message a section names. RFC 9051 §6.4.5.1.

The rule: a section is a range of the stored octets wherever it can be; only HEADER.FIELDS builds anything. What a page
did not bring along (large bodies) becomes an `Extent`, read by whoever writes to the socket, piece by piece.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import MAX_NUMBER64, Arguments
from services.mail.imap.responses import astring
from services.mail.message import select_fields
from services.mail.mime.parts import Kind, PartMap
from services.mail.store.messages import Items, Page

if TYPE_CHECKING:
    from services.mail.imap.fetch.binary import Binary

_OPEN: Final = re.compile(rb"\[")
_CLOSE: Final = re.compile(rb"\]")
_PATH: Final = re.compile(rb"([1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*+)")
_TEXT: Final = re.compile(rb"(?:HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT|MIME)(?=[\] ])", re.IGNORECASE)
_PARTIAL: Final = re.compile(rb"<([0-9]{1,19})\.([0-9]{1,19})>")


@dataclass(frozen=True, slots=True)
class Extent:
    """Octets [start, end) of a message that must be read from the store; they fill a literal of that size.

    section: where set, it is cut out of the octets first (fields, or a part decoded), which tells the literal's size.
    encoding: how a part is to be decoded.
    """

    uid: int
    start: int
    end: int
    section: Section | Binary | None = None
    encoding: bytes = b""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of FETCH.

    path: part numbers. text: "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME. fields: names as they were
    sent. partial: (first octet, at most how many). label: how the answer names it.
    """

    path: tuple[int, ...] = ()
    text: str = ""
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None
    peeks: bool = True
    label: bytes = b"BODY[]"

    is_binary = False

    @classmethod
    def parse(cls, args: Arguments, peeks: bool) -> Section:
        """Reads `[...]<...>`, which comes right after BODY or BODY.PEEK."""
        args.match(_OPEN, "section")
        path: tuple[int, ...] = ()
        if args.octets[args.place : args.place + 1].isdigit():
            numbers = args.match(_PATH, "part number")[1]
            path = tuple(int(number) for number in numbers.split(b"."))
        text = ""
        fields: tuple[bytes, ...] = ()
        if (not path and not args.take(b"]")) or (path and args.take(b".")):
            text = args.match(_TEXT, "section text")[0].decode("ascii").upper()
            if text == "MIME" and not path:
                raise ProtocolError("MIME needs a part number")
            if text.startswith("HEADER.FIELDS"):
                fields = tuple(args.list_of(lambda: args.astring("field name"), "list of field names"))
                if not fields:
                    raise ProtocolError("missing field name")
            args.match(_CLOSE, "end of section")
        elif path:
            args.match(_CLOSE, "end of section")
        section = cls(path, text, fields, peeks=peeks)
        section = replace(section, label=section._label())
        if (partial := parse_partial(args)) is not None:
            section = replace(section, partial=partial, label=section.label + b"<%d>" % partial[0])
        return section

    def _label(self) -> bytes:
        words = [str(number).encode("ascii") for number in self.path]
        if self.text:
            words.append(self.text.encode("ascii"))
        fields = b" (%b)" % b" ".join(map(astring, self.fields)) if self.fields else b""
        return b"BODY[%b%b]" % (b".".join(words), fields)

    @property
    def columns(self) -> Items:
        """What a page must bring for this section."""
        if not self.path and not self.text:
            return Items.BODY | Items.SIZE
        if not self.path and self.text.startswith("HEADER"):
            return Items.HEADER
        return Items.BODY | Items.PARTS

    def find(self, page: Page, row: int) -> bytes | Extent | None:
        """The section's octets in one message of a page, or where they are; None where it has no such part."""
        if not self.path and self.text.startswith("HEADER"):
            return self.cut(page.headers[row])
        if not self.path and not self.text:
            body, start, end = page.bodies[row], 0, page.sizes[row]
        else:
            body = page.bodies[row]
            kind = cast("Kind", "HEADER" if self.fields else self.text)
            found = PartMap.decode(page.parts[row], page.heads[row]).range(self.path, kind)
            if found is None:
                return None
            start, end = found
        if self.fields:
            extent = Extent(page.uids[row], start, end, self)
            return extent if body is None else self.cut(body[start:end])
        if self.partial is not None:
            first, count = self.partial
            start = min(start + first, end)
            end = min(start + count, end)
        if body is None:
            return Extent(page.uids[row], start, end) if end > start else b""
        return body if (start, end) == (0, len(body)) else body[start:end]

    def cut(self, header: bytes) -> bytes:
        """The asked fields of a header, and the asked piece of that."""
        if self.fields:
            header = select_fields(header, self.fields, inverse=self.text.endswith("NOT"))
        if self.partial is not None:
            first, count = self.partial
            return header[first : first + count]
        return header


def parse_partial(args: Arguments) -> tuple[int, int] | None:
    """`<first.count>`, where it comes right now."""
    if args.octets[args.place : args.place + 1] != b"<":
        return None
    found = args.match(_PARTIAL, "partial range")
    first, count = int(found[1]), int(found[2])
    if max(first, count) > MAX_NUMBER64 or count == 0:
        raise ProtocolError("no such partial range")
    return first, count
