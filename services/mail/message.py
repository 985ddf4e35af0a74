"""The header of a message: where its fields are, what they hold, and which of them were asked for. RFC 5322 §2.2.

The rule: nothing is rebuilt. Whatever goes out of here is a slice of the octets that came in, and every function visits
each octet a bounded number of times, whatever the header looks like: LF without CR, lines without a colon, an mbox
"From " line, folding everywhere, or no end at all.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

# Fields that start beyond this are counted as header octets and otherwise ignored.
HEADER_LIMIT: Final = 256 * 1024

_BLANK_LINE = re.compile(rb"\n\r?\n")
_FIELD_END = re.compile(rb"\n(?![ \t])")
# A name (up to the colon, or the whole line where there is none), then the value with its folding.
_FIELD = re.compile(rb"([^\n:]*+)(:?)([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?")

Fields = dict[bytes, bytes]


def header_size(message: bytes) -> int:
    """Octets of the header with the empty line that ends it; the whole message if none does. RFC 5322 §2.1."""
    if message.startswith((b"\r\n", b"\n")):
        return 2 if message[0] == 13 else 1
    found = _BLANK_LINE.search(message)
    return found.end() if found else len(message)


def fields(header: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name in lower case, start, end) per field; end is behind the line end of its last folded line.

    A line without a colon has an empty name; the empty line that ends a header is not yielded.
    """
    start, size = 0, len(header)
    while start < size:
        found = _FIELD_END.search(header, start)
        end = found.end() if found else size
        if header.startswith((b"\r\n", b"\n"), start):
            return
        stop = header.find(b"\n", start, end)
        colon = header.find(b":", start, end if stop < 0 else stop)
        yield (b"" if colon < 0 else header[start:colon].strip(b" \t").lower()), start, end
        start = end


def values(header: bytes, name: bytes) -> list[bytes]:
    """The unfolded values of every field of that name, in the order they came."""
    wanted = name.lower()
    found = []
    for field, start, end in fields(header):
        if field == wanted:
            found.append(unfold(header[header.index(b":", start) + 1 : end]))
    return found


def message_id(header: bytes) -> bytes:
    """The Message-ID with its angle brackets, or nothing. RFC 5322 §3.6.4."""
    return next(iter(values(header, b"message-id")), b"").strip()


def date(header: bytes) -> bytes:
    """The Date field as it was written, or nothing. RFC 5322 §3.6.1."""
    return next(iter(values(header, b"date")), b"").strip()


def unfold(value: bytes) -> bytes:
    """A field's value on one line, without the white space in front of it. RFC 5322 §2.2.3."""
    return value.translate(None, b"\r\n").lstrip(b" \t")


def select_fields(header: bytes, names: Collection[bytes], *, inverse: bool) -> bytes:
    """The octets of the fields that were named (or of all others), and the empty line. RFC 9051 §6.4.5.1.

    Lines that are no field have no name, so only the inverse selection holds them. A header that ends without an empty
    line has none here either.
    """
    wanted = {name.lower() for name in names}
    parts = [header[start:end] for name, start, end in fields(header) if (name in wanted) is not inverse]
    if header.endswith((b"\n\r\n", b"\n\n")) or header in {b"\r\n", b"\n"}:
        parts.append(b"\r\n")
    return b"".join(parts)


def known_fields(header: bytes, known: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """(name in lower case, value as it stands, folded) of the fields whose name is known, in one pass."""
    return [
        (name, value)
        for raw, colon, value in _FIELD.findall(header)
        if colon and (name := raw.rstrip(b" \t").lower()) in known
    ]
