"""What tests of message structure share: a strict reader of what is rendered, and what holds for every message."""

import hashlib
import re
from itertools import pairwise

from services.mail.mime import Part, PartMap, Scanner, Structure, body_of

Tree = list["Tree"] | bytes | None
_TOKEN = re.compile(rb'(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([0-9]+)|(NIL)')


def read(rendered: bytes) -> Tree:
    """A strict reader of what IMAP calls nested lists; nothing but single spaces may stand between elements."""
    stack: list[list[Tree]] = [[]]
    position = 0
    while position < len(rendered):
        found = _TOKEN.match(rendered, position)
        assert found, rendered[position : position + 40]
        position = found.end()
        opening, closing, quoted, literal, number, nil = found.groups()
        if opening:
            stack.append([])
        elif closing:
            ended = stack.pop()
            stack[-1].append(ended)
        elif quoted is not None:
            assert quoted.isascii()
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted))
        elif literal:
            stack[-1].append(rendered[position : position + int(literal)])
            position += int(literal)
        else:
            stack[-1].append(None if nil else number)
        if rendered[position : position + 1] == b" ":
            position += 1
    assert len(stack) == 1
    assert len(stack[0]) == 1
    return stack[0][0]


def feed(message: bytes, sizes: list[int]) -> tuple[Structure, Scanner]:
    scanner = Scanner()
    position = 0
    for size in sizes:
        scanner.feed(message[position : position + size])
        position += size
    scanner.feed(message[position:])
    return scanner.finish(), scanner


def parts_of(structure: Structure, head: int = 0) -> PartMap:
    return PartMap.decode(structure.parts, head)


def check(message: bytes, structure: Structure) -> None:
    """What holds for every message whatever it is."""
    assert structure.size == len(message)
    assert structure.digest == hashlib.sha256(message).digest()
    assert structure.encoding == (2 if b"\0" in message else 0 if message.isascii() else 1)
    assert b"\0" not in structure.envelope + structure.structure
    envelope = read(structure.envelope)
    assert isinstance(envelope, list)
    assert len(envelope) == 10
    extended, basic = read(structure.structure), read(body_of(structure.structure))
    root = parts_of(structure).root
    assert (root.header_start, root.end) == (0, len(message))
    check_part(message, root, extended, basic)


def check_part(message: bytes, part: Part, extended: Tree, basic: Tree) -> None:
    """The part, BODYSTRUCTURE and BODY tell the same, and the parts lie inside one another in their order."""
    assert isinstance(extended, list)
    assert isinstance(basic, list)
    assert extended[: len(basic)] == basic or any(isinstance(each, list) for each in basic)
    assert part.header_start <= part.body_start <= part.end <= len(message)
    octets = message[part.body_start : part.end]
    assert part.lines == octets.count(b"\n")
    bounds = [
        part.body_start,
        *(x for each in part.children for x in (each.header_start, each.end)),
        part.end,
    ]
    assert all(left <= right for left, right in pairwise(bounds))
    if part.is_multipart:
        assert len(extended) - len(basic) == 4
        if not part.children:
            assert (
                extended[0]
                == [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", b"0", b"0"]
                + [None] * 4
            )
        for each, inside, plain in zip(part.children, extended, basic, strict=False):
            check_part(message, each, inside, plain)
        assert isinstance(basic[-1], bytes)
        assert part.media_type == b"multipart/" + basic[-1].lower()
        return
    assert len(extended) - len(basic) == 4
    assert basic[6] == b"%d" % len(octets)
    if part.is_message:
        (letter,) = part.children
        assert (letter.header_start, letter.end) == (part.body_start, part.end)
        assert len(basic) == 10
        assert basic[9] == b"%d" % part.lines
        check_part(message, letter, extended[8], basic[8])
    elif part.media_type.startswith(b"text/"):
        assert basic[7:] == [b"%d" % part.lines]
    else:
        assert len(basic) == 7
