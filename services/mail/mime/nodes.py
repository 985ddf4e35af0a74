"""What the scanner keeps of a part while the message goes by, and how the parts are written down at the end.

The rule: a node holds a few numbers and what its own header rendered to, both bounded; never octets of a body, and
nothing here recurses.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from services.mail.message import known_fields, unfold
from services.mail.mime import content
from services.mail.mime.boundaries import BOUNDARY_LIMIT
from services.mail.mime.envelope import NAMES, render_envelope
from services.mail.mime.parts import pack
from services.mail.mime.rendering import NIL, nstring, string

_CONTENT: Final = frozenset(
    b"content-" + name
    for name in (
        b"type",
        b"transfer-encoding",
        b"disposition",
        b"id",
        b"description",
        b"md5",
        b"language",
        b"location",
    )
)
_ROOT_NAMES: Final = _CONTENT | NAMES
_NO_PART: Final = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)'
_OPAQUE: Final = b'"application" "octet-stream" NIL'
_EXTENSIONS: Final = frozenset((b"content-disposition", b"content-language", b"content-location"))
# Headers of parts and content types up to so many octets are remembered: most of the world's are one of a few.
_USUAL_HEADER: Final = 256
_USUAL: Final = 128
# A multipart's type in its usual form; the boundary is another one in each message.
_MULTIPART = re.compile(
    rb"""multipart/([a-z]++);[ \t]*+(boundary)=(?:"([^"\\]++)"|([^][()<>@,;:\\"/?= \t]++))""", re.IGNORECASE
)


class _Kind:
    """What a Content-Type field says, and how it is rendered: with the type, or for a multipart only the subtype."""

    __slots__ = ("boundary", "is_multipart", "is_text", "media", "rendered")

    def __init__(self, value: bytes) -> None:
        text = unfold(value)
        usual = _MULTIPART.fullmatch(text) if len(text) <= _USUAL else None
        if usual is not None:
            self.media = b"multipart/%b" % usual[1].lower()
            self.is_text, self.is_multipart = False, True
            self.boundary = usual[3] or usual[4]
            self.rendered = b'"%b" ("%b" %b)' % (usual[1], usual[2], string(self.boundary))
            return
        kind = content.content_type(text)
        self.media = kind.media
        self.is_text = self.media.startswith(b"text/")
        self.is_multipart = self.media.startswith(b"multipart/")
        self.boundary = (kind.parameter(b"boundary") or b"") if self.is_multipart else b""
        names = b"" if self.is_multipart else string(kind.type) + b" "
        self.rendered = b"%b%b %b" % (
            names,
            string(kind.subtype),
            _parameters(kind.parameters, is_text=self.is_text),
        )


_usual_kind = lru_cache(maxsize=512)(_Kind)


class _Said(NamedTuple):
    """What a header says of its part. boundary: None for what is no multipart. front, rear: rendered."""

    media: bytes
    encoding: bytes
    boundary: bytes | None
    is_text: bool
    front: bytes
    rear: bytes


def _said(found: Sequence[tuple[bytes, bytes]], *, is_in_digest: bool, is_deepest: bool) -> _Said:
    """The same of (name, folded value) pairs; the first of a name counts."""
    fields: dict[bytes, bytes] = {}
    for name, value in found:
        fields.setdefault(name, value)
    declared = fields.get(b"content-type")
    if declared is None:
        kind = _IN_DIGEST if is_in_digest else _UNDECLARED
    else:
        kind = _usual_kind(declared) if len(declared) <= _USUAL else _Kind(declared)
    transfer = fields.get(b"content-transfer-encoding")
    encoding = b"7bit" if transfer is None else content.token(unfold(transfer)) or b"7bit"
    is_opaque = len(kind.boundary) > BOUNDARY_LIMIT or (
        is_deepest and (kind.is_multipart or kind.media == b"message/rfc822")
    )
    extensions = b"NIL NIL NIL" if _EXTENSIONS.isdisjoint(fields) else _extensions(fields)
    if kind.is_multipart and not is_opaque:
        rear = b" %b %b)" % (kind.rendered, extensions)
        return _Said(kind.media, encoding.lower(), kind.boundary or None, False, b"", rear)
    front = b"(%b %b %b %b " % (
        _OPAQUE if is_opaque else kind.rendered,
        _nstring(fields.get(b"content-id")),
        _nstring(fields.get(b"content-description")),
        string(encoding),
    )
    rear = b" %b %b)" % (_nstring(fields.get(b"content-md5")), extensions)
    if is_opaque:
        return _Said(b"application/octet-stream", encoding.lower(), None, False, front, rear)
    return _Said(kind.media, encoding.lower(), kind.boundary or None, kind.is_text, front, rear)


def _part(header: bytes, is_in_digest: bool, is_deepest: bool) -> _Said:
    return _said(known_fields(header, _CONTENT), is_in_digest=is_in_digest, is_deepest=is_deepest)


_usual_part = lru_cache(maxsize=1024)(_part)


class Node:
    """A part as far as it is known. lines: while it is open, the line ends of the message before its body."""

    __slots__ = (
        "body_start",
        "boundary",
        "children",
        "encoding",
        "end",
        "envelope",
        "front",
        "header_start",
        "is_digest",
        "is_message",
        "is_text",
        "lines",
        "media",
        "rear",
    )

    def __init__(self, header_start: int) -> None:
        self.header_start = self.body_start = self.end = header_start
        self.lines = self.children = 0
        self.media = b"text/plain"
        self.encoding = b"7bit"
        self.front = self.rear = self.envelope = b""
        self.boundary: bytes | None = None
        self.is_message = self.is_text = self.is_digest = False

    def read(self, header: bytes, *, is_whole: bool, is_in_digest: bool, is_deepest: bool) -> None:
        """Takes from the header what the structure needs. is_whole: a message's header, with an envelope."""
        if is_whole:
            found = known_fields(header, _ROOT_NAMES)
            self.envelope = render_envelope(found)
            said = _said(found, is_in_digest=is_in_digest, is_deepest=is_deepest)
        elif len(header) <= _USUAL_HEADER:
            said = _usual_part(header, is_in_digest, is_deepest)
        else:
            said = _part(header, is_in_digest, is_deepest)
        self.media, self.encoding, self.boundary, self.is_text, self.front, self.rear = said
        self.is_message = self.media == b"message/rfc822"
        self.is_digest = self.media == b"multipart/digest"

    def close(self, end: int, lines: int) -> None:
        """The part ends here; `lines` line ends lie before."""
        self.end = end
        self.lines = lines - self.lines

    @property
    def weight(self) -> int:
        """Octets that the part adds to the rendered structure, numbers and an empty multipart's filling included."""
        return len(self.front) + len(self.rear) + len(self.envelope) + len(_NO_PART)


def render_structure(nodes: Sequence[Node]) -> bytes:
    """BODYSTRUCTURE of the parts, given in the order in which they begin. RFC 9051 §7.5.2."""
    out: list[bytes] = []
    waiting: list[list[int]] = []  # [parts to come, number of the part around them]
    for number, node in enumerate(nodes):
        if node.is_message and node.children:
            out.append(b"%b%d %b " % (node.front, node.end - node.body_start, nodes[number + 1].envelope))
        elif not node.front:
            out.append(b"(" if node.children else b"(" + _NO_PART + node.rear)
        elif node.is_text:
            out.append(b"%b%d %d%b" % (node.front, node.end - node.body_start, node.lines, node.rear))
        else:
            out.append(b"%b%d%b" % (node.front, node.end - node.body_start, node.rear))
        if node.children:
            waiting.append([node.children, number])
            continue
        while waiting:
            waiting[-1][0] -= 1
            if waiting[-1][0]:
                break
            around = nodes[waiting.pop()[1]]
            out.append((b" %d" % around.lines if around.is_message else b"") + around.rear)
    return b"".join(out)


def encode_parts(nodes: Sequence[Node]) -> bytes:
    """The part map of the parts, given in the order in which they begin; see PartMap."""
    return b"".join(
        pack(
            node.header_start, node.body_start, node.end, node.lines, node.children, node.media, node.encoding
        )
        for node in nodes
    )


def _nstring(value: bytes | None) -> bytes:
    return NIL if value is None else nstring(unfold(value)[: content.VALUE_LIMIT])


def _extensions(fields: dict[bytes, bytes]) -> bytes:
    return b"%b %b %b" % (
        _disposition(fields.get(b"content-disposition")),
        _languages(fields.get(b"content-language")),
        _nstring(fields.get(b"content-location")),
    )


def _parameters(given: content.Parameters, *, is_text: bool) -> bytes:
    """The parameters; text has a charset even where none is named. RFC 2045 §5.2."""
    pairs = [b"%b %b" % (string(name), string(value)) for name, value in _bounded(given)]
    if is_text and not any(name.lower() == b"charset" for name, _ in given):
        pairs.append(b'"charset" "us-ascii"')
    return b"(%b)" % b" ".join(pairs) if pairs else NIL


def _bounded(given: content.Parameters) -> content.Parameters:
    """As many parameters as have 16 KB in all."""
    left = 4 * content.VALUE_LIMIT
    for number, (name, value) in enumerate(given):
        left -= len(name) + len(value)
        if left < 0:
            return given[:number]
    return given


def _disposition(value: bytes | None) -> bytes:
    found = None if value is None else content.disposition(unfold(value))
    return NIL if found is None else b"(%b %b)" % (string(found[0]), _parameters(found[1], is_text=False))


def _languages(value: bytes | None) -> bytes:
    tags = [] if value is None else content.languages(unfold(value)[: content.VALUE_LIMIT])
    return b"(%b)" % b" ".join(map(string, tags)) if tags else NIL


_UNDECLARED: Final = _Kind(b"text/plain")
_IN_DIGEST: Final = _Kind(b"message/rfc822")
