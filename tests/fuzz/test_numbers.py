"""Sequence sets against a reference that counts members one by one. RFC 9051 §9 (sequence-set)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import ProtocolError
from services.mail.imap.numbers import Numbers, render
from services.mail.store.uids import each

STAR = 0
NUMBER = st.integers(STAR, 40)
RANGE = st.one_of(NUMBER.map(lambda number: (number, number)), st.tuples(NUMBER, NUMBER))
RANGES = st.lists(RANGE, min_size=1, max_size=12)


def write(ranges: list[tuple[int, int]], is_short: bool) -> bytes:
    """`*` for STAR; a range of one is a number where `is_short`."""
    pairs = [[b"*" if number == STAR else b"%d" % number for number in pair] for pair in ranges]
    return b",".join(a if a == b and is_short else a + b":" + b for a, b in pairs)


def members(ranges: list[tuple[int, int]], last: int) -> set[int]:
    """The reference: `*` is the last one, a range may be given backwards, and an empty mailbox has no last one."""
    found: set[int] = set()
    for pair in ranges:
        if STAR in pair and not last:
            continue
        low, high = sorted(number or last for number in pair)
        found.update(range(low, high + 1))
    return found


@given(RANGES, st.integers(0, 50), st.booleans())
def test_a_set_has_the_members_that_it_names(
    ranges: list[tuple[int, int]], last: int, is_short: bool
) -> None:
    numbers = Numbers.parse(write(ranges, is_short))
    assert set(each(numbers.resolve(last))) == members(ranges, last)
    assert numbers.highest == max(max(pair) for pair in ranges)


@given(RANGES, st.integers(0, 50))
def test_runs_are_ascending_disjoint_and_never_adjacent(ranges: list[tuple[int, int]], last: int) -> None:
    """attacks 17: so a set costs its runs, whatever was repeated in it."""
    runs = Numbers.parse(write(ranges, True)).resolve(last)
    flat = [end for run in runs for end in run]
    assert all(first <= end for first, end in runs)
    assert all(after - before > 1 for before, after in zip(flat[1::2], flat[2::2], strict=False))
    if runs:
        assert Numbers.parse(render(runs)).runs == runs


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=20))
def test_every_number_that_a_message_can_have_is_taken(numbers: list[int]) -> None:
    """RFC 9051 §9, nz-number."""
    octets = b",".join(b"%d" % number for number in numbers)
    assert set(each(Numbers.parse(octets).runs)) == set(numbers)


@given(
    st.one_of(
        st.text("0123456789:,* ", max_size=14),
        st.integers(0, 2**40).map(str),
        st.tuples(st.integers(0, 2**33), st.integers(0, 2**33)).map(lambda pair: f"{pair[0]}:{pair[1]}"),
    )
)
def test_what_is_no_set_is_refused_and_nothing_else_is(text: str) -> None:
    """attacks 17: 0 and what is over 2^32-1 are no numbers of messages."""
    is_set = re.fullmatch(r"(\d+|\*)(:(\d+|\*))?(,(\d+|\*)(:(\d+|\*))?)*", text) is not None
    digits = re.findall(r"\d+", text)
    if is_set and all(1 <= int(number) < 2**32 and len(number) <= 10 for number in digits):
        Numbers.parse(text.encode())
    else:
        with pytest.raises(ProtocolError):
            Numbers.parse(text.encode())
