"""Message structure: what is rendered, where the parts lie, and that cutting the octets makes no difference."""

import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.mail.errors import ProtocolError
from services.mail.mime import Part, PartMap, Scanner, Structure, body_of, scan
from services.mail.mime.envelope import ENVELOPE_LIMIT
from services.mail.mime.scanner import DEPTH_LIMIT, PARTS_LIMIT, STRUCTURE_LIMIT

Tree = list["Tree"] | bytes | None


class Samples(Protocol):
    def __getitem__(self, name: str) -> bytes: ...


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


def test_any_cutting_gives_the_same_result(message: bytes) -> None:
    """RFC 2045: structure is a matter of octets, not of packets."""
    whole = scan(message)
    for size in (1, 2, 3, 7, 64, 1000):
        assert feed(message, [size] * (len(message) // size))[0] == whole


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"\r",
        b"--",
        b"-",
        b"--a",
        b"--ab",
        b"--a--",
        b"--ab--",
        b"a",
        b" ",
        b"\r\n\r\n",
        b"\r\n--a\r\n",
        b"\r\n--ab\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n",
        b"Content-Type: multipart/digest; boundary=ab\r\n",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type: text/html\r\n",
        b"Subject: x\r\n",
        b"To: a@b,\r\n (c\r\n",
        b"\0",
        b"\xff",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=30), st.lists(st.integers(0, 9), max_size=40))
def test_any_cutting_of_any_message_gives_the_same_result(pieces: list[bytes], sizes: list[int]) -> None:
    """RFC 2046 §5.1.1: boundaries are found wherever the octets were cut."""
    message = b"Content-Type: multipart/mixed; boundary=a\r\n" + b"".join(pieces)
    whole = scan(message)
    assert feed(message, sizes)[0] == whole
    assert feed(message, [1] * len(message))[0] == whole
    check(message, whole)


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


def test_every_part_lies_where_the_structure_says(message: bytes) -> None:
    """RFC 9051 §7.5.2."""
    check(message, scan(message))


def test_header_and_text_are_the_whole_message(message: bytes) -> None:
    """RFC 9051 §6.4.5: HEADER includes the empty line, TEXT omits it."""
    parts = parts_of(scan(message))
    header, text, whole = (parts.range((), kind) for kind in ("HEADER", "TEXT", ""))
    assert header is not None
    assert text is not None
    assert whole is not None
    assert message[slice(*header)] + message[slice(*text)] == message[slice(*whole)] == message


def test_a_map_shifts_by_the_trace_headers_but_for_the_first_header(message: bytes) -> None:
    """RFC 5321 §4.4: what is put in front belongs to the header."""
    plain, shifted = parts_of(scan(message)), parts_of(scan(message), 100)
    before, after = list(plain.walk()), list(shifted.walk())
    assert after[0].header_start == 0
    assert [each.end for each in after] == [each.end + 100 for each in before]
    assert [each.header_start for each in after[1:]] == [each.header_start + 100 for each in before[1:]]
    assert plain.encode() == scan(message).parts


def section(message: bytes, path: tuple[int, ...], kind: str = "") -> bytes | None:
    found = parts_of(scan(message)).range(path, kind)  # type: ignore[arg-type]
    return None if found is None else message[slice(*found)]


def test_sections_descend_through_a_forwarded_message(samples: Samples) -> None:
    """RFC 9051 §6.4.5.1."""
    message = samples["forwarded"]
    assert section(message, (1,)) == b"see below"
    inside = section(message, (2,))
    assert inside is not None
    assert inside.startswith(b"From: carol@example.net\r\n")
    assert inside.endswith(b"--c--")
    header, text = section(message, (2,), "HEADER"), section(message, (2,), "TEXT")
    assert header is not None
    assert text is not None
    assert header + text == inside
    assert (
        section(message, (2,), "MIME")
        == b"Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n"
    )
    assert section(message, (2, 1)) == b"first"
    assert section(message, (2, 2, 1)) == b"text"
    assert section(message, (2, 2), "HEADER") == b"Subject: innermost\r\n\r\n"
    assert section(message, (2, 2, 1), "MIME") == b"Subject: innermost\r\n\r\n"


def test_part_one_of_a_letter_without_parts_is_its_text(samples: Samples) -> None:
    """RFC 9051 §6.4.5.1: every message has at least one part number."""
    message = samples["plain"]
    assert section(message, (1,)) == section(message, (), "TEXT") == b"At one?\r\n\r\nAlice\r\n"


@pytest.mark.parametrize("path", [(2,), (0,), (1, 1), (1, 1, 1)])
def test_a_part_that_is_not_there_is_none(samples: Samples, path: tuple[int, ...]) -> None:
    """RFC 9051 §6.4.5.1."""
    assert section(samples["plain"], path) is None


def test_header_of_a_part_that_is_no_message_is_none(samples: Samples) -> None:
    """RFC 9051 §6.4.5.1: HEADER and TEXT with numbers are for message/rfc822."""
    assert section(samples["alternative"], (1,), "HEADER") is None
    assert section(samples["alternative"], (), "MIME") is None


def test_structure_of_a_nested_message(samples: Samples) -> None:
    """RFC 9051 §7.5.2, RFC 2231 §3, RFC 2183 §2."""
    assert scan(samples["nested"]).structure == (
        b'((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0 NIL NIL NIL NIL)'
        b'("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 10 0 NIL NIL NIL NIL)'
        b' "alternative" ("boundary" "outer-in") NIL NIL NIL)'
        b'("application" "pdf" ("name*" "utf-8\'\'%C3%A9te.pdf") "<pdf@example.org>" "the report" "base64" 4'
        b' "Q2hlY2sgSW50ZWdyaXR5IQ==" ("attachment" ("filename" "a (1).pdf" "size" "3")) ("en" "de")'
        b' "http://example.org/a.pdf") "mixed" ("boundary" "outer") NIL NIL NIL)'
    )


def test_body_is_the_structure_without_extension_data(samples: Samples) -> None:
    """RFC 9051 §7.5.2."""
    assert body_of(scan(samples["nested"]).structure) == (
        b'((("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0)'
        b'("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 10 0) "alternative")'
        b'("application" "pdf" ("name*" "utf-8\'\'%C3%A9te.pdf") "<pdf@example.org>" "the report" "base64" 4) "mixed")'
    )


@pytest.mark.parametrize("broken", [b"", b"(", b")", b"())", b'("text', b'("a" "b"))', b"{5}\r\nab"])
def test_what_is_no_structure_has_no_body(broken: bytes) -> None:
    """RFC 9051 §9."""
    with pytest.raises(ProtocolError):
        body_of(broken)


def test_envelope_with_groups_and_defaults(samples: Samples) -> None:
    """RFC 9051 §7.5.2: sender and reply-to are the from; a group is marked by NIL hosts."""
    alice = b'(("Example, Alice" NIL "alice" "example.org"))'
    assert scan(samples["alternative"]).envelope == (
        b'(NIL "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" %b %b %b ((NIL NIL "Team" NIL)(NIL NIL "bob" "example.org")'
        b'("Carol" NIL "carol" "example.net")(NIL NIL NIL NIL)(NIL NIL "dave" "example.com")) NIL NIL NIL NIL)'
    ) % (alice, alice, alice)


def test_what_cannot_be_quoted_is_a_literal_and_nul_never_leaves(samples: Samples) -> None:
    """RFC 3501 §4.3, §9: quoted strings are 7-bit, and no string but a literal8 holds NUL."""
    assert b'{25}\r\nGr\xfc\xdfe "quoted" back\\slash ' in scan(samples["eight-bit"]).envelope
    assert b"a\xef\xbf\xbdb" in scan(samples["nul"]).envelope


def test_several_from_fields_are_one_list() -> None:
    """RFC 5322 §3.6 allows one; nobody is hidden where there are more."""
    envelope = read(scan(b"From: a@b\r\nFrom: c@d\r\n\r\n").envelope)
    assert isinstance(envelope, list)
    assert envelope[2] == [[None, None, b"a", b"b"], [None, None, b"c", b"d"]]


def test_an_unclosed_multipart_ends_with_the_message(samples: Samples) -> None:
    """RFC 2046 §5.1.2: a missing last boundary is not the end of the world."""
    assert section(samples["unclosed"], (1, 1)) == b"never ended"


def test_a_boundary_ends_a_header_too(samples: Samples) -> None:
    """RFC 2046 §5.1.1."""
    parts = parts_of(scan(samples["no-blank-line"])).root.children
    assert [each.media_type for each in parts] == [b"text/plain", b"message/rfc822", b"text/html"]
    assert [each.end - each.body_start for each in parts] == [0, 0, 0]


def test_a_line_belongs_to_the_longest_boundary_that_begins_it(samples: Samples) -> None:
    """RFC 2046 §5.1.2: nested boundaries may begin alike."""
    root = parts_of(scan(samples["nested"])).root
    assert [len(each.children) for each in (root, *root.children)] == [2, 2, 0]


def test_parts_of_a_digest_are_messages(samples: Samples) -> None:
    """RFC 2046 §5.1.5."""
    parts = parts_of(scan(samples["digest"])).root.children
    assert [each.media_type for each in parts] == [b"message/rfc822", b"text/plain"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text", b'("text" "plain" ("charset" "us-ascii")'),
        (b"", b'("text" "plain" ("charset" "us-ascii")'),
        (b'Text/HTML; CharSet="UTF-8"', b'("Text" "HTML" ("CharSet" "UTF-8")'),
        (b"text/plain; a=b;", b'("text" "plain" ("a" "b" "charset" "us-ascii")'),
        (b'(c) image / (d(e)) png ; name = "a\\"b"', b'("image" "png" ("name" "a\\"b")'),
        (b"text/html charset=utf-8", b'("text" "html" ("charset" "utf-8")'),
        (b"a/b; x*0=1; x*2=3", b'("a" "b" ("x*0" "1" "x*2" "3")'),
        (b"a/b; x*0=1; x*1=2; y=3", b'("a" "b" ("y" "3" "x" "12")'),
        (b'a/b; name=unterminated"; c=d', b'("a" "b" ("name" "unterminated")'),
    ],
)
def test_content_types_are_read_kindly(value: bytes, expected: bytes) -> None:
    """RFC 2045 §5.1, §5.2, RFC 2231 §3."""
    structure = scan(b"Content-Type: " + value + b"\r\n\r\n").structure
    assert structure.startswith(expected + b" NIL NIL ")


def multipart(depth: int, name: Callable[[int], bytes]) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (name(number), name(number))
        for number in range(depth)
    )


ATTACKS = {
    "boundaries that are none": multipart(1, lambda _: b"abc") + b"\r\n--ab" * 200_000,
    "dashes only": multipart(1, lambda _: b"abc") + b"\n--" * 300_000,
    "boundaries that begin alike": multipart(99, lambda n: b"a" * (n + 1))
    + (b"\r\n--" + b"a" * 60 + b"!") * 15_000,
    "long boundaries that begin alike": multipart(90, lambda n: b"b" * 1900 + b"%d" % n)
    + (b"\n--" + b"b" * 1950) * 500,
    "short lines under many boundaries": multipart(99, lambda n: b"%d" % n) + b"\n--x" * 100_000,
    "parts without end": multipart(1, lambda _: b"x") + b"\r\n--x" * 200_000,
    "headers without end": multipart(1, lambda _: b"x") + b"A: b\r\n--y\r\n" * 100_000,
    "nested without end": multipart(5000, lambda n: b"n%d" % n),
    "messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    "100,000 fields": b"Subject: x\r\n" * 100_000 + b"\r\n",
    "100,000 folded lines": b"To: a@b\r\n" + b" ,c@d\r\n" * 100_000 + b"\r\n",
    "one line": b"Subject: " + b"x" * 3_000_000,
    "a long line in a part": multipart(1, lambda _: b"x") + b"\r\n\r\n" + b"--" + b"y" * 3_000_000,
    "a long boundary line": multipart(1, lambda _: b"x") + b"\r\n--x" + b"y" * 3_000_000,
    "parentheses": b"To: " + b"(" * 1_000_000 + b"\r\n\r\n",
    "parentheses in a type": b"Content-Type: " + b"(" * 500_000 + b")" * 500_000 + b"a/b\r\n\r\n",
    "addresses": b"To: " + b"a@b, " * 200_000 + b"\r\n\r\n",
    "groups": b"To: " + b"g:a@b;" * 100_000 + b"\r\n\r\n",
    "quotes": b"To: " + b'"' * 300_001 + b"\r\n\r\n",
    "escapes": b'To: "' + b"\\" * 500_001 + b"\r\n\r\n",
    "parameters": b"Content-Type: a/b" + b"; c=d" * 100_000 + b"\r\n\r\n",
    "sections": b"Content-Type: a/b" + b"".join(b"; c*%d=d" % n for n in range(50_000)) + b"\r\n\r\n",
    "equal signs": b"Content-Type: a/b" + b"; a" * 200_000 + b"=" * 200_000 + b"\r\n\r\n",
    "languages": b"Content-Language: " + b"a," * 500_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_an_attack_costs_octets_in_proportion_and_a_bounded_answer(attack: str) -> None:
    """RFC 2046 sets no bounds: parts, depth, boundary and header are bounded here."""
    message = ATTACKS[attack]
    whole, scanner = feed(message, [])
    assert scanner.visited <= 16 * len(message)
    assert len(whole.envelope) <= ENVELOPE_LIMIT
    assert len(whole.structure) <= STRUCTURE_LIMIT
    assert body_of(whole.structure).count(b"(") == body_of(whole.structure).count(b")")
    assert sum(1 for _ in parts_of(whole).walk()) <= PARTS_LIMIT
    cut, cutting = feed(message, [10_007] * (len(message) // 10_007))
    assert cut == whole
    assert cutting.visited <= 20 * len(message)


def test_parts_beyond_the_limit_belong_to_the_last_one() -> None:
    """RFC 2046 §5.1: the part at hand takes the rest."""
    message = multipart(1, lambda _: b"x") + b"\r\n\r\ny\r\n--x" * (PARTS_LIMIT + 500)
    root = parts_of(scan(message)).root
    assert len(root.children) == PARTS_LIMIT - 1
    assert root.children[-1].end == len(message)


def test_the_largest_part_of_all_fits_into_the_slack() -> None:
    """RFC 9051 §7.5.2: the answer is bounded even if every field of the last part is as long as can be."""
    long = b'"' + b'\\"' * 5000 + b'"'
    header = (
        b"Content-Type: message/rfc822" + (b"; x=" + long) * 200 + b"\r\n"
        b"Content-Disposition: attachment" + (b"; x=" + long) * 200 + b"\r\n"
        b"Content-Language: " + b"en," * 9000 + b"\r\n"
    )[: 250 * 1024]
    texts = b"".join(
        b"Content-%b: %b\r\n" % (name, b'"' * 9000) for name in (b"ID", b"Description", b"Location", b"MD5")
    )
    inner = b"Subject: " + b'"' * 20_000 + b"\r\n" + b"To: " + b'"\\"" <a@b>, ' * 20_000 + b"\r\n"
    part = b"--x\r\n" + texts + header + b"\r\n\r\n" + texts + inner + b"\r\n\r\n"
    structure = scan(multipart(1, lambda _: b"x") + b"\r\n\r\n" + part * 30)
    assert 512 * 1024 < len(structure.structure) <= STRUCTURE_LIMIT


def test_depth_beyond_the_limit_is_opaque() -> None:
    """RFC 2046 §5.1.2: nesting is bounded here."""
    part, depth = parts_of(scan(multipart(150, lambda n: b"n%d" % n))).root, 1
    while part.children:
        part, depth = part.children[0], depth + 1
    assert depth == DEPTH_LIMIT
    assert part.media_type == b"application/octet-stream"


@pytest.mark.parametrize(("size", "media"), [(2048, b"multipart/mixed"), (2049, b"application/octet-stream")])
def test_a_boundary_over_2048_octets_makes_no_multipart(size: int, media: bytes) -> None:
    """RFC 2046 §5.1.1 has 70; real ones are longer."""
    assert parts_of(scan(multipart(1, lambda _: b"x" * size))).root.media_type == media


def test_a_header_of_10_mb_keeps_only_its_beginning() -> None:
    """RFC 5322 sets no bound; the octets still belong to the header."""
    message = b"Subject: first\r\n" + b"X-Padding: 0123456789\r\n" * 450_000 + b"Date: late\r\n\r\nbody"
    scanner = Scanner()
    most = 0
    for position in range(0, len(message), 65536):
        scanner.feed(message[position : position + 65536])
        most = max(most, len(scanner._rest))
    structure = scanner.finish()
    assert most <= 512 * 1024
    assert structure.envelope.startswith(b'(NIL "first" ')
    assert parts_of(structure).range((), "TEXT") == (len(message) - 4, len(message))
    assert structure == scan(message)


def test_what_waits_between_chunks_of_a_body_is_short() -> None:
    """A body of 50 MB passes through in chunks."""
    scanner = Scanner()
    scanner.feed(multipart(1, lambda _: b"x") + b"\r\n\r\n")
    for _ in range(800):
        scanner.feed(b"0123456789abcde\n" * 4096)
        assert len(scanner._rest) < 16
    assert scanner.finish().size > 50_000_000
