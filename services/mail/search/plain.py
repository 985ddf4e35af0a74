"""Letters in which a text surely does not stand, told from their raw octets. Most letters are decided so.

The rule: only a certain no is an answer. A letter is plain where what is searched are its octets in capitals, but for
white space and what stands around a field's colon; whatever may decode, unescape or fold to something else is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.mail.mime.parts import PartMap

# Of these a text is cut into pieces that stand in the octets as they are.
_PIECE: Final = re.compile(r"[!-9;-~]+")
_DISGUISED: Final = re.compile(rb'[) "\t\n]@|@[( \t\r\n]')
# Whatever goes on behind these is a charset in which ASCII is itself, or none that is known and then UTF-8.
_CHARSETS: Final = (b"US-ASCII", b"UTF-8", b"ISO-8859-", b"WINDOWS-125")
_NAMED: Final = tuple(b"CHARSET=" + quote + name for quote in (b"", b'"') for name in _CHARSETS)


def needle(text: str) -> bytes | None:
    """What stands in the octets of a plain letter that holds this folded text; None where nothing is certain."""
    if not text.isascii():
        return b"\xff"  # which stands in none
    longest = max(_PIECE.findall(text), key=len, default="")
    return longest.encode() or None


def header_in_capitals(header: bytes) -> bytes | None:
    """A message's own header; None where it is not plain."""
    if not _is_plain(header) or _DISGUISED.search(header):
        return None
    return header.upper()


def content_in_capitals(content: bytes, parts: bytes) -> bytes | None:
    """What follows the trace headers; None where it is not plain. parts: its encoded map."""
    if b"base64" in parts or b"quoted-printable" in parts or not _is_plain(content):
        return None
    capitals = content.upper()
    if capitals.count(b"CHARSET") != sum(map(capitals.count, _NAMED)):
        return None
    if b"text/html" in parts and any(
        content.find(mark, start, end) >= 0 for start, end in _hypertexts(parts) for mark in (b"<", b"&")
    ):
        return None
    return capitals


def _is_plain(octets: bytes) -> bool:
    return (
        octets.isascii()
        and b"=?" not in octets
        and b"\0" not in octets
        and octets.count(b"\r") == octets.count(b"\r\n")
    )


def _hypertexts(parts: bytes) -> Iterator[tuple[int, int]]:
    for part in PartMap.decode(parts, 0).walk():
        if part.media_type == b"text/html":
            yield part.body_start, part.end
