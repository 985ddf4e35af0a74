"""The text of one part, out of its octets as they come: transfer encoding, charset, markup and case undone.

The rule: how the octets are cut makes no difference to what comes out, every step is small enough to give way after
it, and memory does not grow with the part.
"""

from __future__ import annotations

import binascii
import codecs
from collections.abc import Iterator
from typing import Final

from services.mail.message import fields, unfold
from services.mail.mime import content
from services.mail.mime.parts import Part
from services.mail.search.folding import BREAK, fold
from services.mail.search.hypertext import Visible
from services.mail.text import clean, codec

# Octets, transfer encoding undone, that are made text at once: some milliseconds at most.
STEP: Final = 32 * 1024
_NOT_BASE64: Final = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


class BodyText:
    """Takes the octets of one part's body and gives pieces of text, folded.

    HTML gives two texts: its source, which the protocol calls the body, and what a reader sees of it.
    """

    def __init__(self, part: Part, header: bytes) -> None:
        kind = content.content_type(_content_type(header))
        self._charset = (kind.parameter(b"charset") or b"").decode("ascii", "replace")
        self._decoder = _decoder(self._charset)
        self._transfer = part.encoding
        self._raw = b""
        self._ready = bytearray()
        self._visible = Visible() if part.media_type == b"text/html" else None

    def feed(self, octets: bytes) -> Iterator[tuple[str, str]]:
        """Pieces of the text, and of what is seen of it where that is another."""
        self._undo(octets, is_last=False)
        while len(self._ready) >= STEP:
            step = bytes(self._ready[:STEP])
            del self._ready[:STEP]
            yield self._step(step, is_last=False)

    def finish(self) -> Iterator[tuple[str, str]]:
        """The last piece."""
        self._undo(b"", is_last=True)
        while len(self._ready) > STEP:
            step = bytes(self._ready[:STEP])
            del self._ready[:STEP]
            yield self._step(step, is_last=False)
        yield self._step(bytes(self._ready), is_last=True)

    def _step(self, octets: bytes, *, is_last: bool) -> tuple[str, str]:
        try:
            text = self._decoder.decode(octets, is_last)
        except UnicodeDecodeError:
            # Only UTF-8 that was guessed is strict; from here on the rest is read as `text.decode` reads it.
            pending = self._decoder.getstate()[0]
            self._decoder = codecs.getincrementaldecoder("cp1252")("replace")
            text = self._decoder.decode(pending + octets, is_last)
        text = clean(text)
        if self._visible is None:
            return fold(text), ""
        return fold(text), fold(self._visible.feed(text, is_last=is_last))

    def _undo(self, octets: bytes, *, is_last: bool) -> None:
        """Undoes the transfer encoding as far as the octets go. RFC 2045 §6."""
        if self._transfer == b"base64":
            raw = self._raw + octets.translate(None, _NOT_BASE64)
            whole = len(raw) // 4 * 4
            self._raw = raw[whole:]
            self._ready += binascii.a2b_base64(raw[:whole])
            if is_last and len(self._raw) > 1:
                self._ready += binascii.a2b_base64(self._raw + b"=" * (4 - len(self._raw)))
        elif self._transfer == b"quoted-printable":
            raw = self._raw + octets
            whole = len(raw)
            if not is_last:
                # An escape may go on: at most `=`, its digits, or white space and the line end of a soft break.
                whole = raw.rfind(b"\n") + 1 or raw.rfind(b"=", max(0, len(raw) - 80))
                whole = len(raw) if whole < 0 else whole
            self._raw = raw[whole:]
            self._ready += binascii.a2b_qp(raw[:whole])
        else:
            self._ready += octets


def text_of(part: Part, header: bytes, octets: bytes) -> tuple[str, str]:
    """The whole of a part at once."""
    body = BodyText(part, header)
    pieces = [*body.feed(octets), *body.finish()]
    if len(pieces) == 1:
        return pieces[0]
    return "".join([text for text, _ in pieces]), "".join([seen for _, seen in pieces])


def joined(texts: list[tuple[str, str]]) -> str:
    """The texts of all parts as one, in which nothing is found across two of them."""
    return BREAK.join([text for text, _ in texts] + [seen for _, seen in texts if seen])


def _content_type(header: bytes) -> bytes:
    for name, start, end in fields(header):
        if name == b"content-type":
            return unfold(header[header.index(b":", start) + 1 : end])
    return b"text/plain"


def _decoder(charset: str) -> codecs.IncrementalDecoder:
    """UTF-8 where nothing certain is said, as `text.decode` has it; strict, so that it is noticed when it is wrong."""
    name = codec(charset)
    if name is None or name == "cp1252":
        return codecs.getincrementaldecoder("utf-8")("strict")
    try:
        return codecs.getincrementaldecoder(name)("replace")
    except LookupError:
        return codecs.getincrementaldecoder("utf-8")("strict")
