"""Sequence sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import ProtocolError
from services.mail.imap.numbers import Numbers, render
from services.mail.store.uids import each


def test_a_set_is_normalised() -> None:
    """RFC 9051 §9, sequence-set."""
    assert Numbers.parse(b"5,1:3,2:4,9:7,4294967295:1,1").runs == ((1, 4294967295),)
    assert Numbers.parse(b"9:7,3").runs == ((3, 3), (7, 9))


def test_a_star_is_the_last_one_even_above_it() -> None:
    """RFC 9051 §9, seq-range."""
    assert Numbers.parse(b"*").resolve(7) == ((7, 7),)
    assert Numbers.parse(b"3:*").resolve(7) == ((3, 7),)
    assert Numbers.parse(b"*:9").resolve(7) == ((7, 9),)
    assert Numbers.parse(b"1:*").resolve(0) == ()


@pytest.mark.parametrize(
    "octets", [b"", b"0", b"1:0", b"4294967296", b"1,", b",1", b"1:2:3", b"a", b"-1", b"1 2", b"**"]
)
def test_what_is_no_set_is_refused(octets: bytes) -> None:
    """RFC 9051 §9, sequence-set."""
    with pytest.raises(ProtocolError):
        Numbers.parse(octets)


def test_a_megabyte_of_ranges_is_normalised_or_refused() -> None:
    assert Numbers.parse(b",".join([b"1:*"] * 200_000)).open_ends == (1,)
    with pytest.raises(ProtocolError, match="too many"):
        Numbers.parse(b",".join(b"%d" % number for number in range(1, 600_000, 2)))


@given(st.sets(st.integers(1, 60)))
def test_what_is_rendered_is_parsed_back(members: set[int]) -> None:
    if members:
        octets = b",".join(b"%d" % member for member in members)
        runs = Numbers.parse(octets).runs
        assert set(each(runs)) == members
        assert Numbers.parse(render(runs)).runs == runs
