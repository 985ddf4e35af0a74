"""Mailbox names on the wire: modified UTF-7, UTF-8 and LIST patterns. RFC 3501 §5.1.3, RFC 9051 §5.1, §6.3.9.

The rule: one name, one spelling. What does not come back octet for octet when it is encoded again is refused, so that
no two spellings on the wire reach the same mailbox (INBOX's case and Unicode's composition apart).
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from typing import Final

from services.mail.errors import InvalidName
from services.mail.store.mailboxes import INBOX, SEPARATOR

MAX_PATTERN: Final = 2000
_SHIFTED: Final = re.compile(r"[^\x20-\x7e]+|&")
_RUN: Final = re.compile(rb"&([^-]*+)-")
_LITERALLY: Final = re.compile(r"[^%*]*+")


def encode(name: str) -> bytes:
    """A name as modified UTF-7."""
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")
    return _SHIFTED.sub(_shift, name).encode("ascii")


def _shift(match: re.Match[str]) -> str:
    if match[0] == "&":
        return "&-"
    encoded = binascii.b2a_base64(match[0].encode("utf-16-be", "surrogatepass"), newline=False)
    return "&" + encoded.decode("ascii").rstrip("=").replace("/", ",") + "-"


def decode(octets: bytes) -> str:
    """The name that modified UTF-7 spells. Raises InvalidName for what `encode` would never write."""
    if not octets.isascii():
        raise InvalidName("a mailbox name is modified UTF-7, which has no 8-bit octets")
    pieces: list[str] = []
    place = 0
    while (shift := octets.find(b"&", place)) >= 0:
        pieces.append(octets[place:shift].decode("ascii"))
        run = _RUN.match(octets, shift)
        if run is None:
            raise InvalidName("a mailbox name has an unfinished shift")
        pieces.append(_unshift(run[1]))
        place = run.end()
    pieces.append(octets[place:].decode("ascii"))
    name = "".join(pieces)
    if any(octet < 0x20 or octet == 0x7F for octet in octets):
        raise InvalidName("a mailbox name has no control characters")
    if encode(name) != octets:
        raise InvalidName("a mailbox name has more than one spelling in modified UTF-7; use the shortest")
    return name


def decode_utf8(octets: bytes) -> str:
    """The name that UTF-8 spells, for a client that enabled it. RFC 9051 §5.1. Raises InvalidName."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidName("a mailbox name is UTF-8") from None


def _unshift(encoded: bytes) -> str:
    if not encoded:
        return "&"
    try:
        padded = encoded.replace(b",", b"/") + b"=" * (-len(encoded) % 4)
        return binascii.a2b_base64(padded, strict_mode=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidName("a mailbox name is not modified UTF-7") from None


class Pattern:
    """A LIST pattern. `*` matches anything, `%` anything without a separator. RFC 9051 §6.3.9.

    All places in the pattern that a name's beginning can have reached are bits of one integer, so a match is linear in
    the name, whatever the wildcards. INBOX is met in any case (RFC 9051 §5.1). Raises InvalidName for a pattern over
    MAX_PATTERN characters.

    prefix: how every name begins that the pattern matches.
    """

    __slots__ = ("_final", "_literally", "_masks", "_percents", "_stars", "_wild", "prefix")

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise InvalidName("the pattern is too long")
        if not pattern.isascii():
            pattern = unicodedata.normalize("NFC", pattern)
        # Neighbouring wildcards are one: `*` where any of them is `*`. So one step leads past them.
        elements = re.sub(r"[%*]{2,}", lambda run: "*" if "*" in run[0] else "%", pattern)
        self.prefix = _prefix(elements)
        # The most common patterns, `Name`, `Name*` and `Name/%`, are answered at once.
        literally = _LITERALLY.match(elements)
        self._literally = (
            literally[0] if literally and elements[literally.end() :] in ("", "*", "%") else None
        )
        self._masks: dict[str, int] = {}
        self._stars = self._percents = 0
        for place, element in enumerate(elements):
            if element == "*":
                self._stars |= 1 << place
            elif element == "%":
                self._percents |= 1 << place
            else:
                self._masks[element] = self._masks.get(element, 0) | 1 << place
        self._wild = self._stars | self._percents
        self._final = 1 << len(elements)

    def matches(self, name: str) -> bool:
        """Whether the whole name matches."""
        inbox = len(INBOX) if name.startswith(INBOX) and name[len(INBOX) :][:1] in ("", SEPARATOR) else 0
        if self._literally is not None and not inbox:
            if not self._wild:
                return name == self._literally
            is_far = self._percents and SEPARATOR in name[len(self._literally) :]
            return name.startswith(self._literally) and not is_far
        masks = self._masks
        places = 1 | (1 & self._wild) << 1
        for number, char in enumerate(name):
            kept = places & (self._stars if char == SEPARATOR else self._wild)
            met = masks.get(char, 0)
            if number < inbox:
                met |= masks.get(char.lower(), 0)
            places = (places & met) << 1 | kept
            if not places:
                return False
            places |= (places & self._wild) << 1
        return bool(places & self._final)


def _prefix(elements: str) -> str:
    """How every name begins that these match; short where INBOX in another case is among them."""
    literally = _LITERALLY.match(elements)
    prefix = literally[0] if literally else ""
    head, rest = prefix[: len(INBOX)], prefix[len(INBOX) :]
    if not INBOX.startswith(head.upper()) or head == INBOX[: len(head)]:
        return prefix
    if head.upper() == INBOX and (rest or prefix == elements):
        return INBOX + rest if rest[:1] in ("", SEPARATOR) else prefix
    return ""
