"""The end of a message, and what stands before it."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import InvalidMessage, MessageTooLarge
from services.mail.smtp.body import BodyScanner, ChunkScanner


def scan(pieces: list[bytes], *, limit: int = 10_000, normalises: bool = False) -> tuple[bytes, BodyScanner]:
    scanner = BodyScanner(limit, normalises=normalises)
    content = b""
    for at, piece in enumerate(pieces):
        content += scanner.feed(piece)
        if scanner.is_ended:
            scanner.rest += b"".join(pieces[at + 1 :])
            break
    return content, scanner


def test_a_message_ends_at_the_dot_and_stuffed_dots_go() -> None:
    """RFC 5321 §4.5.2."""
    content, scanner = scan([b"..a\r\n...\r\n.b\r\n.\r\nQUIT\r\n"])
    assert (content, scanner.rest, scanner.refusal) == (b".a\r\n..\r\nb\r\n", b"QUIT\r\n", None)
    assert scanner.size == len(content)


def test_a_message_may_be_empty() -> None:
    """RFC 5321 §4.1.1.4: the mark follows the line end of the DATA command."""
    content, scanner = scan([b".\r\n"])
    assert (content, scanner.is_ended, scanner.rest) == (b"", True, b"")


@pytest.mark.parametrize(
    "end",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n.\r\r\n", b"\n"],
)
def test_nothing_else_that_looks_like_an_end_is_one(end: bytes) -> None:
    """CVE-2023-51764 and its kin."""
    content, scanner = scan([b"a" + end + b"MAIL FROM:<evil@example.net>\r\n"])
    assert not scanner.is_ended
    content, scanner = scan([b"a" + end + b"b\r\n.\r\nQUIT\r\n"])
    assert scanner.is_ended
    assert isinstance(scanner.refusal, InvalidMessage)
    assert scanner.rest == b"QUIT\r\n"
    assert content == b""


def test_newlines_are_normalised_where_configured_after_the_end_was_found() -> None:
    """The smuggled end stays content."""
    content, scanner = scan([b"a\n.\nb\rc\r\n.\r\n"], normalises=True)
    assert (content, scanner.refusal) == (b"a\r\n.\r\nb\r\nc\r\n", None)


def test_a_liar_is_counted_and_discarded() -> None:
    """RFC 1870 §6.3: nothing is held beyond the limit."""
    content, scanner = scan([b"x" * 60, b"x" * 60, b"x" * 60 + b"\r\n.\r\n"], limit=100)
    assert len(content) == 60
    assert isinstance(scanner.refusal, MessageTooLarge)
    assert scanner.is_ended


def test_a_line_of_any_length_is_carried() -> None:
    """RFC 5321 §4.5.3.1.6 is a minimum; a long line is never split."""
    line = b"x" * 5000 + b"\r\n"
    assert scan([line + b".\r\n"])[0] == line


OCTETS = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a"]), max_size=30
).map(b"".join)


def pieces_of(octets: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % (len(octets) + 1) for cut in cuts} | {0, len(octets)})
    return [octets[start:end] for start, end in pairwise(at)]


@given(OCTETS, st.lists(st.integers(0, 200)), st.booleans())
def test_any_chunking_gives_the_same_message(octets: bytes, cuts: list[int], normalises: bool) -> None:
    """A packet's edge means nothing."""
    whole, one = scan([octets], normalises=normalises)
    cut, many = scan(pieces_of(octets, cuts), normalises=normalises)
    assert (one.is_ended, one.rest, type(one.refusal)) == (many.is_ended, many.rest, type(many.refusal))
    if one.refusal is None:
        assert (whole, one.size) == (cut, many.size)


@given(
    st.lists(st.sampled_from([b"a", b"\r\n", b"\r", b"\n", b".", b"\r\n.\r\n"]), max_size=20), st.randoms()
)
def test_chunks_are_one_message_wherever_they_end(pieces: list[bytes], random: Random) -> None:
    """RFC 3030 §2: neither a dot nor the end of a chunk means anything."""
    octets = b"".join(pieces)
    whole = ChunkScanner(10_000)
    expected = whole.feed(octets, is_end=True)
    cuts = sorted(random.randint(0, len(octets)) for _ in range(4))
    scanner = ChunkScanner(10_000)
    found = b""
    for start, end in pairwise([0, *cuts, len(octets)]):
        scanner.announce(end - start)
        found += scanner.feed(octets[start:end], is_end=False)
    found += scanner.feed(b"", is_end=True)
    is_clean = octets.count(b"\r") == octets.count(b"\r\n") == octets.count(b"\n")
    assert (whole.refusal is None, scanner.refusal is None) == (is_clean, is_clean)
    if is_clean:
        assert found == expected == octets


def test_newlines_of_chunks_are_normalised_where_configured() -> None:
    """A CR that waits for its LF is one line end with it, in whichever chunk that comes."""
    scanner = ChunkScanner(100, normalises=True)
    found = [scanner.feed(octets, is_end=False) for octets in (b"a\r", b"\nb\n", b"\r", b"c\r")]
    assert b"".join([*found, scanner.feed(b"", is_end=True)]) == b"a\r\nb\r\n\r\nc\r\n"


def test_a_chunk_over_the_limit_is_refused_before_it_comes() -> None:
    """RFC 3030 §2; nothing of it is given."""
    scanner = ChunkScanner(10)
    scanner.announce(8)
    assert scanner.feed(b"12345678", is_end=False) == b"12345678"
    scanner.announce(3)
    assert isinstance(scanner.refusal, MessageTooLarge)
    assert scanner.feed(b"123", is_end=True) == b""
