"""Content transfer encodings undone, as the octets come. RFC 2045 §6.

The rule: how the octets are cut makes no difference to what comes out, and what is held back is a line at most.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

# Octets of a quoted-printable line that are held back: longer ones are cut, but never inside an escape.
LONGEST_LINE: Final = 64 * 1024

_IDENTITY: Final = frozenset((b"", b"7bit", b"8bit", b"binary"))
_NOT_BASE64: Final = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)
# Begun only where white space begins: long stretches of it would be looked at from each of their octets.
_TRAILING: Final = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")


def is_known(encoding: bytes) -> bool:
    """Whether what this encoding (in lower case) hides can be told."""
    return encoding in _IDENTITY or encoding in (b"base64", b"quoted-printable")


def undone(encoding: bytes, octets: bytes) -> bytes:
    """A whole body without its encoding."""
    if encoding in _IDENTITY:
        return octets
    undoing = Undoing(encoding)
    return undoing.feed(octets) + undoing.finish()


class Undoing:
    """One body; what is damaged is read as far as it goes."""

    def __init__(self, encoding: bytes) -> None:
        self._encoding = encoding
        self._held = b""
        self._is_over = False

    def feed(self, octets: bytes) -> bytes:
        """What is certain so far."""
        if self._encoding == b"base64":
            return self._base64(octets)
        if self._encoding == b"quoted-printable":
            raw = self._held + octets
            end = raw.rfind(b"\n") + 1
            if not end and len(raw) > LONGEST_LINE:
                end = len(raw) if b"=" not in raw[-2:] else raw.rindex(b"=", -2)
            self._held = raw[end:]
            return _quoted(raw[:end])
        return octets

    def finish(self) -> bytes:
        """The rest."""
        held, self._held = self._held, b""
        if self._encoding == b"base64":
            return binascii.a2b_base64(held + b"=" * (4 - len(held))) if len(held) > 1 else b""
        return _quoted(held.rstrip(b" \t")) if held else b""

    def _base64(self, octets: bytes) -> bytes:
        """An `=` is the end, and what is not of the alphabet is passed over. RFC 2045 §6.8."""
        if self._is_over:
            return b""
        data, end, _ = octets.partition(b"=")
        self._is_over = bool(end)
        raw = self._held + data.translate(None, _NOT_BASE64)
        whole = len(raw) // 4 * 4
        self._held = raw[whole:]
        return binascii.a2b_base64(raw[:whole])


def _quoted(octets: bytes) -> bytes:
    """White space at the end of a line is not of the text. RFC 2045 §6.7."""
    return binascii.a2b_qp(_TRAILING.sub(b"", octets))
