"""The texts of a message that are searched: its header's fields, and its text parts, decoded and folded.

A folded header is groups of fields, one for each name: `\\nNAME: value\\rNAME: value`; groups that begin with BREAK
hold lines that are no fields, and last the fields of the parts inside. Values are unfolded and have no line ends, so
a group's bounds are certain. An address that is written with comments, spaces or quotes has one value more, as the
envelope tells it, and so has a value with more than one blank in a row.
The rule: these texts are kept; whoever changes what comes out for any message empties `header_text` and `body_text`
in the same migration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from email.utils import parsedate
from itertools import chain
from typing import Final

from services.mail.address import entries
from services.mail.message import HEADER_LIMIT
from services.mail.mime.parts import Part, PartMap
from services.mail.mime.transfer import is_known
from services.mail.search.folding import BREAK, fold
from services.mail.text import decode_header

# Parts of a message whose own fields are searched; a message that has more is an attack.
PARTS_SEARCHED: Final = 1000
_LONGEST_DATE: Final = 200
_EPOCH: Final = date(1970, 1, 1).toordinal()
_LINE_ENDS: Final = re.compile(r"[\r\n]")
# Whose addresses SEARCH knows as the envelope has them (RFC 9051 §6.4.4, FROM), and where those may look otherwise.
_ADDRESSES: Final = frozenset((b"BCC", b"CC", b"FROM", b"TO"))
_DISGUISED: Final = re.compile(rb'[) "]@|@[( ]')
_BLANKS: Final = re.compile(r"[ \t]+")
_UNNAMED: Final = f"\n{BREAK}\r"
_NAME: Final = re.compile(rb"([^\0- :\x7f-\xff]++)[ \t]*+:")


def fold_header(header: bytes) -> str:
    """The groups of a message's own fields, in the order in which each name first came."""
    groups: dict[str, list[str]] = {}
    for name, line in _fields(header):
        groups.setdefault(name, []).append(line)
    unnamed = groups.pop("", None)
    named = "".join(["\n" + "\r".join(lines) for lines in groups.values()])
    return named if unnamed is None else named + _UNNAMED + "\r".join(unnamed)


def fold_inner(headers: Iterator[bytes]) -> str:
    """A group without a name: fields of the parts, and of messages inside."""
    lines = [line for header in headers for _, line in _fields(header)]
    return _UNNAMED + "\r".join(lines) if lines else ""


def field_values(folded: str, name: str) -> list[str] | None:
    """What stands behind the colons of a message's own fields of this folded name; None where it has none."""
    lead = f"\n{name}:"
    if not name or (start := folded.find(lead)) < 0:
        return None
    end = folded.find("\n", start + 1)
    group = folded[start + 1 : end if end >= 0 else None]
    return [line[len(name) + 1 :] for line in group.split("\r")]


def sent_day(header: bytes) -> int | None:
    """The day of the Date field as it is written there, in days since 1970-01-01. RFC 9051 §6.4.4, SENTON."""
    for name, value in _lines(header):
        if name == b"DATE":
            try:
                parsed = parsedate(value[:_LONGEST_DATE].decode("ascii", "replace"))
                return None if parsed is None else date(*parsed[:3]).toordinal() - _EPOCH
            except (ValueError, OverflowError, IndexError, TypeError):
                return None
    return None


def text_parts(parts: PartMap) -> list[Part]:
    """The parts whose bodies are searched: text, and reports such as message/delivery-status.

    What hides behind an unknown transfer encoding is no text. RFC 2045 §6.4.
    """
    return [
        part
        for part in parts.walk()
        if not part.children
        and part.media_type.startswith((b"text/", b"message/"))
        and is_known(part.encoding)
    ][:PARTS_SEARCHED]


def inner_headers(parts: PartMap) -> list[tuple[int, int]]:
    """Where the headers of the parts inside are, as octets [start, end), in their order."""
    inner = chain.from_iterable(part.children for part in parts.walk())
    spans = sorted(
        (part.header_start, min(part.body_start, part.header_start + HEADER_LIMIT)) for part in inner
    )
    return [span for span in spans[:PARTS_SEARCHED] if span[0] < span[1]]


def _fields(header: bytes) -> Iterator[tuple[str, str]]:
    """Each field's folded name, and the whole of it on one line, folded; what is no field has no name."""
    for name, value in _lines(header):
        if value.isascii() and b"=?" not in value and b"\0" not in value:
            text = value.decode("ascii").upper()
        else:
            text = fold(_LINE_ENDS.sub(" ", decode_header(value)))
        folded, text = name.decode("ascii"), text.rstrip()
        lead = f"{folded}:" if folded else ""
        yield folded, lead + text
        if "  " in text or "\t" in text:
            yield folded, lead + _BLANKS.sub(" ", text)
        if name in _ADDRESSES and _DISGUISED.search(value) and (plain := _plain_addresses(value)):
            yield folded, f"{folded}: {plain}"


def _plain_addresses(value: bytes) -> str:
    """Mailboxes and hosts without what stands around them. RFC 5322 §3.4.1, §4.4."""
    plain = b", ".join(b"%b@%b" % (entry[2], entry[3]) for entry in entries(value) if entry[2] and entry[3])
    return fold(_LINE_ENDS.sub(" ", plain.replace(b"\0", b" ").decode("utf-8", "replace")))


def _lines(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names in capitals and unfolded values; a tab that begins a line goes on as a space. RFC 5322 §2.2.3."""
    header = header[:HEADER_LIMIT].replace(b"\r", b"").replace(b"\n\t", b" ").replace(b"\n ", b" ")
    for line in header.split(b"\n"):
        if found := _NAME.match(line):
            yield found[1].upper(), line[found.end() :]
        elif line:
            yield b"", line
