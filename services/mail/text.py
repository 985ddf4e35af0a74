"""Text out of octets: encoded words and charsets. RFC 2047, RFC 6532.

The rule: decoding never fails and never yields NUL or a lone surrogate, since what comes out goes into a text column.
"""

import base64
import binascii
import codecs
import re
from functools import lru_cache
from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

# Names that mail uses and Python does not know, or knows as something narrower than what is sent.
_ALIASES: Final = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "windows-874": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "unknown-8bit": "cp1252",
    "x-unknown": "cp1252",
}
_NOT_CHARSETS: Final = frozenset(
    ("idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")
)
_WORD = re.compile(rb"=\?([^?\s*]{1,64})(?:\*[^?\s]{0,32})?\?([bBqQ])\?([^?]{0,4096})\?=")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_UNSAFE = re.compile("[\0\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with NUL and lone surrogates replaced, as a database can hold it."""
    return _UNSAFE.sub(REPLACEMENT, text)


@lru_cache(maxsize=256)
def codec(charset: str) -> str | None:
    """Python's name for a charset label, or None for one that is unknown or no text encoding."""
    name = charset.strip().strip("'\"").lower()
    if not name.isascii() or not 0 < len(name) <= 64 or "\0" in name:
        return None
    try:
        found = codecs.lookup(_ALIASES.get(name, name))
    except (LookupError, ValueError):
        return None
    # Python's own codecs between bytes and bytes, or for source text, are no charsets. The flag is not in the stubs.
    is_text = getattr(found, "_is_text_encoding", False)
    return found.name if is_text and found.name.replace("_", "-") not in _NOT_CHARSETS else None


def decode(octets: bytes, charset: str = "") -> str:
    """The octets as text, replacing what the charset cannot say.

    Where it is unknown, or only the default of old software, UTF-8 is tried first and Windows-1252 is what remains.
    """
    name = codec(charset)
    if name == "cp1252" or name is None:
        try:
            return clean(octets.decode("utf-8"))
        except UnicodeDecodeError:
            name = "cp1252"
    try:
        return clean(octets.decode(name, "replace"))
    except (UnicodeError, ValueError):
        return clean(octets.decode("cp1252", "replace"))


def decode_header(raw: bytes) -> str:
    """An unfolded field value as text, its encoded words decoded. RFC 2047 §6.

    White space between two encoded words is not part of the text; neighbours of one charset are decoded together, so
    that a character that a sender cut in two comes back whole.
    """
    raw = raw.translate(None, b"\r\n")
    parts: list[str] = []
    pending, charset, position = [b""], "", 0

    def flush() -> None:
        if charset:
            parts.append(decode(b"".join(pending), charset))

    for found in _WORD.finditer(raw):
        between = raw[position : found.start()]
        label = found[1].decode("ascii", "replace").lower()
        octets = _word(found[2], found[3])
        position = found.end()
        if charset and not between.strip() and label == charset:
            pending.append(octets)
            continue
        flush()
        if between.strip() or not charset:
            parts.append(decode(between))
        pending, charset = [octets], label
    flush()
    parts.append(decode(raw[position:]))
    return "".join(parts)


def _word(encoding: bytes, payload: bytes) -> bytes:
    if encoding in b"qQ":
        return _HEX.sub(lambda found: bytes([int(found[1], 16)]), payload.replace(b"_", b" "))
    try:
        return base64.b64decode(payload + b"=" * (-len(payload.rstrip(b"=")) % 4))
    except (binascii.Error, ValueError):
        return payload
