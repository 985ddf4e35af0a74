"""Message structure: what is rendered, where the parts lie, and that cutting the octets makes no difference."""

from typing import Protocol

import pytest

from services.mail.errors import ProtocolError
from services.mail.mime import body_of, scan
from tests.unit.mail.structures import check, feed, parts_of, read


class Samples(Protocol):
    def __getitem__(self, name: str) -> bytes: ...


def test_any_cutting_gives_the_same_result(message: bytes) -> None:
    """RFC 2045: structure is a matter of octets, not of packets."""
    whole = scan(message)
    for size in (1, 2, 3, 7, 64, 1000):
        assert feed(message, [size] * (len(message) // size))[0] == whole


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


def test_part_one_of_a_multipart_without_parts_is_empty(samples: Samples) -> None:
    """RFC 9051 §7.5.2: its structure says that there is one, of no octets."""
    message = samples["no-parts"]
    assert section(message, (1,)) == section(message, (1,), "MIME") == b""
    assert section(message, (2,)) is None
    assert section(message, (1, 1)) is None


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
