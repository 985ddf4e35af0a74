"""BINARY[...] and BINARY.SIZE[...]: parts without their transfer encoding. RFC 9051 §6.4.5, RFC 3516 §4.2, §4.3.

The rule: a part whose encoding is not known is found out before anything of its row is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.fetch.sections import Extent, parse_partial
from services.mail.mime.parts import Part, PartMap
from services.mail.mime.transfer import is_known, undone
from services.mail.store.messages import Items, Page

_SECTION: Final = re.compile(rb"\[((?:[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*+)?)\]")


class UnknownEncoding(Exception):
    """The octets of a part cannot be told. RFC 3516 §4.3 (UNKNOWN-CTE)."""


class Size(bytes):
    """A number where other sections have a literal."""


@dataclass(frozen=True, slots=True)
class Binary:
    """One part, decoded; `is_size` where only its octets are counted. The rest is as in `Section`."""

    path: tuple[int, ...] = ()
    partial: tuple[int, int] | None = None
    peeks: bool = True
    is_size: bool = False
    label: bytes = b"BINARY[]"

    is_binary = True

    @classmethod
    def parse(cls, args: Arguments, word: str) -> Binary:
        """Reads `[...]<...>`, which comes right after BINARY, BINARY.PEEK or BINARY.SIZE."""
        found = args.match(_SECTION, "part number")
        path = tuple(int(number) for number in found[1].split(b".") if number)
        is_size = word == "BINARY.SIZE"
        label = (b"BINARY.SIZE[%b]" if is_size else b"BINARY[%b]") % found[1]
        partial = parse_partial(args)
        if partial is not None:
            if is_size:
                raise ProtocolError("BINARY.SIZE has no partial range")
            label += b"<%d>" % partial[0]
        return cls(path, partial, word != "BINARY", is_size, label)

    @property
    def columns(self) -> Items:
        """What a page must bring for this section."""
        return Items.BODY | Items.PARTS | Items.SIZE

    def check(self, page: Page, row: int) -> None:
        """Raises UnknownEncoding."""
        part = self._part(page, row)
        if part is not None and not is_known(self._encoding(part)):
            raise UnknownEncoding

    def find(self, page: Page, row: int) -> bytes | Extent | None:
        """The part's octets in one message of a page, or where they are; None where it has no such part."""
        part = self._part(page, row)
        if part is None:
            return Size(b"0") if self.is_size else None
        start, end = (part.body_start, part.end) if self.path else (0, page.sizes[row])
        body = page.bodies[row]
        if body is None:
            return Extent(page.uids[row], start, end, self, self._encoding(part))
        octets = undone(self._encoding(part), body[start:end])
        if self.is_size:
            return Size(b"%d" % len(octets))
        first, count = self.partial or (0, len(octets))
        return octets[first : first + count]

    def _part(self, page: Page, row: int) -> Part | None:
        return PartMap.decode(page.parts[row], page.heads[row]).find(self.path)

    def _encoding(self, part: Part) -> bytes:
        """A whole message, and what holds other parts, is as it is. RFC 2045 §6.4."""
        return b"" if not self.path or part.is_multipart or part.is_message else part.encoding
