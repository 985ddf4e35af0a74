"""The items of FETCH, and a page of messages as octets. RFC 9051 §6.4.5, §7.5.2; RFC 3501 §6.4.5 (RFC822*);
RFC 7162 §3.1.4 (MODSEQ).

The rule: a page is rendered by columns: one template for all rows, one formatting per row, no object per message or
item. Items of known length come first and sections last, since their order in an answer is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.fetch.binary import Binary, Size
from services.mail.imap.fetch.sections import Extent, Section
from services.mail.imap.responses import FlagTexts
from services.mail.mime.rendering import body_of
from services.mail.store.messages import Items, Page

MAX_ITEMS: Final = 1000
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = date(1970, 1, 1).toordinal()

_MACROS: Final = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
_WHOLE: Final = {
    "RFC822": Section(peeks=False, label=b"RFC822"),
    "RFC822.HEADER": Section(text="HEADER", label=b"RFC822.HEADER"),
    "RFC822.TEXT": Section(text="TEXT", peeks=False, label=b"RFC822.TEXT"),
}

Column = Callable[[Page, FlagTexts], Iterable[bytes | int]]

# item → what the page must bring, how it is written, and the column that is written
_ITEMS: Final[dict[str, tuple[Items, bytes, Column]]] = {
    "UID": (Items(0), b"UID %d", lambda page, _: page.uids),
    "FLAGS": (Items.FLAGS, b"FLAGS (%b)", lambda page, texts: map(texts.__getitem__, page.flags)),
    "INTERNALDATE": (
        Items.INTERNALDATE,
        b'INTERNALDATE "%b"',
        lambda page, _: map(render_date_time, page.internal_at),
    ),
    "RFC822.SIZE": (Items.SIZE, b"RFC822.SIZE %d", lambda page, _: page.sizes),
    "ENVELOPE": (Items.ENVELOPE, b"ENVELOPE %b", lambda page, _: page.envelopes),
    "BODY": (Items.STRUCTURE, b"BODY %b", lambda page, _: map(body_of, page.structures)),
    "BODYSTRUCTURE": (Items.STRUCTURE, b"BODYSTRUCTURE %b", lambda page, _: page.structures),
    "MODSEQ": (Items.MODSEQ, b"MODSEQ (%d)", lambda page, _: page.modseqs),
}


@dataclass(frozen=True, slots=True)
class FetchItems:
    """What one FETCH asks for: names of `_ITEMS` in the order of that table, and sections without repeats."""

    words: tuple[str, ...]
    sections: tuple[Section | Binary, ...] = ()

    @classmethod
    def parse(cls, args: Arguments) -> FetchItems:
        """Reads a macro, one item, or a list of items."""
        found: list[str | Section | Binary] = []
        if args.peek() == b"(":
            found = args.list_of(lambda: _item(args), "items")
            if not found:
                raise ProtocolError("missing item")
        else:
            item = _item(args, macros=True)
            found = [*_MACROS[item]] if isinstance(item, str) and item in _MACROS else [item]
        if len(found) > MAX_ITEMS:
            raise ProtocolError("too many items")
        words = {item for item in found if isinstance(item, str)}
        sections = {item.label: item for item in found if not isinstance(item, str) and item.peeks}
        sections |= {item.label: item for item in found if not isinstance(item, str) and not item.peeks}
        return cls(tuple(word for word in _ITEMS if word in words), tuple(sections.values()))

    def including(self, *words: str) -> FetchItems:
        """The same and these items too: UID of UID FETCH, FLAGS where \\Seen was set."""
        asked = {*self.words, *words}
        return replace(self, words=tuple(word for word in _ITEMS if word in asked))

    @property
    def sets_seen(self) -> bool:
        """Whether asking for it sets \\Seen. RFC 9051 §6.4.5."""
        return not all(section.peeks for section in self.sections)

    @property
    def columns(self) -> Items:
        """What the pages must bring."""
        columns = Items(0)
        for word in self.words:
            columns |= _ITEMS[word][0]
        for section in self.sections:
            columns |= section.columns
        return columns

    def render(self, page: Page, numbers: Sequence[int], texts: FlagTexts) -> Iterator[bytes | Extent]:
        """A page as octets to be written in order; `numbers` has the sequence number of each row.

        Sections are cut out when their turn comes: a thousand of them may each be as large as the message.
        An Extent stands where octets must be read; its literal's size is already written, unless it has a section.
        Raises UnknownEncoding between two rows.
        """
        if len(numbers) == 0:
            return
        template = b" ".join(_ITEMS[word][1] for word in self.words)
        columns = [_ITEMS[word][2](page, texts) for word in self.words]
        if not self.sections:
            line = b"* %d FETCH (" + template + b")\r\n"
            yield b"".join([line % row for row in zip(numbers, *columns, strict=True)])
            return
        line = b"* %d FETCH (" + template + (b" " if self.words else b"")
        for place, row in enumerate(zip(numbers, *columns, strict=True)):
            yield from self._row(line % row, page, place)

    def _row(self, start: bytes, page: Page, row: int) -> Iterator[bytes | Extent]:
        before = start
        for section in self.sections:
            if isinstance(section, Binary):
                section.check(page, row)
        for section in self.sections:
            found = section.find(page, row)
            before += section.label + b" "
            if found is None:
                before += b"NIL "
            elif isinstance(found, Extent):
                yield before if found.section else before + b"{%d}\r\n" % (found.end - found.start)
                yield found
                before = b" "
            elif isinstance(found, Size):
                before += found + b" "
            elif not found:
                before += b'"" '
            else:
                mark = b"~{%d}\r\n" if section.is_binary and b"\0" in found else b"{%d}\r\n"
                yield before + mark % len(found)
                yield found
                before = b" "
        yield before[:-1] + b")\r\n"


def _item(args: Arguments, macros: bool = False) -> str | Section | Binary:
    word = args.item("item")
    if word in _WHOLE:
        return _WHOLE[word]
    if word in ("BODY", "BODY.PEEK") and args.octets[args.place : args.place + 1] == b"[":
        return Section.parse(args, peeks=word == "BODY.PEEK")
    if word in ("BINARY", "BINARY.PEEK", "BINARY.SIZE"):
        return Binary.parse(args, word)
    if word in _ITEMS or (macros and word in _MACROS):
        return word
    raise ProtocolError("no such FETCH item")


def render_date_time(seconds: int) -> bytes:
    """Seconds since 1970 as date-time without its quotes, in UTC. RFC 9051 §9 (date-time): a year has four digits."""
    day, second = divmod(seconds, 86400)
    minute, second = divmod(second, 60)
    return b"%b %02d:%02d:%02d +0000" % (_day(day), minute // 60, minute % 60, second)


@lru_cache(maxsize=4096)
def _day(number: int) -> bytes:
    day = date.fromordinal(max(1, min(_EPOCH + number, date.max.toordinal())))
    return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year:04d}".encode("ascii")
