"""The part map: where each part of a message lies, by octet. RFC 9051 §6.4.5.

The rule: offsets are those of the stored content; whoever puts trace headers in front says how long they are, and only
the first header grows by them. A stored map must stay readable: change `_RECORD` only together with STRUCTURE_VERSION.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

Kind = Literal["", "HEADER", "TEXT", "MIME"]

# header_start, body_start, end, lines, children, length of the media type, length of the encoding
_RECORD: Final = struct.Struct("<IIIIHBB")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its header is [header_start, body_start) with the empty line, its body [body_start, end).

    lines: line ends in the body. media_type: type/subtype in lower case. encoding: the transfer encoding in lower case.
    children: the parts of a multipart, or the one message inside a message/rfc822.
    """

    header_start: int
    body_start: int
    end: int
    lines: int
    media_type: bytes
    encoding: bytes
    children: tuple[Part, ...] = ()

    @property
    def is_message(self) -> bool:
        """A message/rfc822 whose inside is known."""
        return bool(self.children) and self.media_type == b"message/rfc822"

    @property
    def is_multipart(self) -> bool:
        """A multipart, with or without parts."""
        return self.media_type.startswith(b"multipart/")


def pack(
    header_start: int, body_start: int, end: int, lines: int, children: int, media: bytes, encoding: bytes
) -> bytes:
    """One record of an encoded map; records stand in the order in which the parts begin."""
    media, encoding = media[:255], encoding[:255]
    fixed = _RECORD.pack(header_start, body_start, end, lines, children, len(media), len(encoding))
    return fixed + media + encoding


class PartMap:
    """The parts of one message, found by their IMAP section numbers."""

    __slots__ = ("root",)

    def __init__(self, root: Part) -> None:
        self.root = root

    @classmethod
    def decode(cls, data: bytes, head: int) -> PartMap:
        """Reads an encoded map. head: octets of trace headers put in front of the content. Raises ValueError."""
        try:
            return cls(_read(data, head))
        except (struct.error, IndexError) as error:
            raise ValueError("not a part map") from error

    def encode(self) -> bytes:
        """The map as bytes, as it was before `decode` shifted it by nothing."""
        return b"".join(
            pack(
                part.header_start,
                part.body_start,
                part.end,
                part.lines,
                len(part.children),
                part.media_type,
                part.encoding,
            )
            for part in self.walk()
        )

    def walk(self) -> Iterable[Part]:
        """Every part, each before its children."""
        waiting = [self.root]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))

    def find(self, path: tuple[int, ...]) -> Part | None:
        """The part with these section numbers, () for the whole message. RFC 9051 §6.4.5.1.

        Part 1 of what is no multipart is itself; numbers behind a message/rfc822 count inside that message. A multipart
        without parts has an empty part 1, since its structure says so.
        """
        part, is_whole = self.root, True
        for number in path:
            if not is_whole and part.is_message:
                part, is_whole = part.children[0], True
            if part.is_multipart:
                children = part.children or (Part(part.end, part.end, part.end, 0, b"text/plain", b"7bit"),)
                if not 0 < number <= len(children):
                    return None
                part = children[number - 1]
            elif number != 1 or not is_whole:
                return None
            is_whole = False
        return part

    def range(self, path: tuple[int, ...], kind: Kind) -> tuple[int, int] | None:
        """Where BODY[path.kind] lies, as (start, end), or None where the message has no such section."""
        part = self.find(path)
        if part is None:
            return None
        if not path:
            spans = {"": (part.header_start, part.end), "MIME": None}
        elif kind in {"HEADER", "TEXT"}:
            if not part.is_message:
                return None
            part, spans = part.children[0], {}
        else:
            spans = {"": (part.body_start, part.end), "MIME": (part.header_start, part.body_start)}
        spans |= {"HEADER": (part.header_start, part.body_start), "TEXT": (part.body_start, part.end)}
        return spans[kind]


def _read(data: bytes, head: int) -> Part:
    """Builds the tree from its records, without recursion."""
    open_parts: list[tuple[Part, int, list[Part]]] = []
    position = 0
    while True:
        start, body, end, lines, children, media, encoding = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        name = data[position : position + media]
        position += media
        transfer = data[position : position + encoding]
        position += encoding
        if open_parts:
            start += head
        part = Part(start, body + head, end + head, lines, name, transfer)
        open_parts.append((part, children, []))
        while len(open_parts[-1][2]) == open_parts[-1][1]:
            part, _, inside = open_parts.pop()
            if inside:
                part = replace(part, children=tuple(inside))
            if not open_parts:
                return part
            open_parts[-1][2].append(part)
