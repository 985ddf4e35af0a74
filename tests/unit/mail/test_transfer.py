"""Transfer encodings undone. RFC 2045 §6."""

import base64
import quopri
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.mime.transfer import LONGEST_LINE, Undoing, is_known, undone

PIECES = st.lists(st.integers(1, 40), max_size=30)


def in_pieces(encoding: bytes, octets: bytes, cuts: list[int]) -> bytes:
    """The same, as it comes from a socket."""
    undoing, found, place = Undoing(encoding), b"", 0
    for length in cuts:
        found += undoing.feed(octets[place : place + length])
        place += length
    return found + undoing.feed(octets[place:]) + undoing.finish()


@given(st.binary(max_size=400), PIECES)
def test_base64_comes_back_however_it_is_cut(octets: bytes, cuts: list[int]) -> None:
    """RFC 2045 §6.8."""
    encoded = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    assert in_pieces(b"base64", encoded, cuts) == undone(b"base64", encoded) == octets


@given(st.binary(max_size=400), PIECES)
def test_quoted_printable_comes_back_however_it_is_cut(octets: bytes, cuts: list[int]) -> None:
    """RFC 2045 §6.7."""
    encoded = quopri.encodestring(octets)
    assert in_pieces(b"quoted-printable", encoded, cuts) == undone(b"quoted-printable", encoded) == octets


@given(st.sampled_from([b"base64", b"quoted-printable", b"8bit"]), st.binary(max_size=300), PIECES)
def test_whatever_comes_is_read_the_same_however_it_is_cut(
    encoding: bytes, octets: bytes, cuts: list[int]
) -> None:
    assert in_pieces(encoding, octets, cuts) == undone(encoding, octets)


@pytest.mark.parametrize(
    ("encoding", "octets", "found"),
    [
        (b"base64", b"QUJD\r\nREVG", b"ABCDEF"),
        (b"base64", b"QQ==trailing", b"A"),
        (b"base64", b"Q!U-J*D", b"ABC"),
        (b"base64", b"QUI", b"AB"),
        (b"quoted-printable", b"a  \r\nb\t \r\nc ", b"a\r\nb\r\nc"),
        (b"quoted-printable", b"a=\r\nb=20\r\n", b"ab \r\n"),
        (b"7bit", b"=41", b"=41"),
    ],
)
def test_damage_is_read_as_far_as_it_goes(encoding: bytes, octets: bytes, found: bytes) -> None:
    assert undone(encoding, octets) == found


def test_a_line_without_an_end_is_not_held_back() -> None:
    """A body of one line of a megabyte costs a line."""
    undoing = Undoing(b"quoted-printable")
    kept = sum(len(undoing.feed(b"=41" * 10_000)) for _ in range(30))
    assert 300_000 - kept <= LONGEST_LINE
    assert kept + len(undoing.finish()) == 300_000


def test_white_space_that_ends_no_line_costs_its_length() -> None:
    """A hundred times as much would take ten thousand times as long: minutes."""
    octets = b" " * 250_000 + b"x\r\n"
    began = time.process_time()
    assert undone(b"quoted-printable", octets) == octets
    assert time.process_time() - began < 1


def test_only_what_is_known_is_undone() -> None:
    """RFC 3516 §4.3."""
    assert all(map(is_known, (b"", b"7bit", b"binary", b"base64", b"quoted-printable")))
    assert not is_known(b"x-uuencode")
