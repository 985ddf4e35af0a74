"""Sets of uids, against Python's own sets."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.mail.store.uids import (
    BLOCK,
    FULL,
    LAST_UID,
    Run,
    Runs,
    between,
    count,
    each,
    from_masks,
    intersect,
    masks,
    normalise,
    runs_of,
    subtract,
    union,
)

MANY = 100_000

uids = st.integers(1, 300)
sets = st.sets(uids, max_size=80)
pairs = st.lists(st.tuples(uids, uids), max_size=30)


def runs(members: set[int]) -> Runs:
    """What is to be expected, by the slow way."""
    return runs_of(sorted(members))


def is_canonical(found: Runs) -> bool:
    """Ascending, disjoint and never adjacent."""
    return all(first <= last for first, last in found) and all(
        before[1] + 1 < after[0] for before, after in pairwise(found)
    )


@given(sets)
def test_runs_hold_the_uids_that_went_in(members: set[int]) -> None:
    """RFC 9051 §9, sequence-set."""
    assert list(each(runs(members))) == sorted(members)
    assert is_canonical(runs(members))
    assert count(runs(members)) == len(members)


@given(pairs)
def test_pairs_are_merged_whichever_way_they_are_written(ranges: list[Run]) -> None:
    """RFC 9051 §9: 4:2 is 2:4."""
    members = {uid for a, b in ranges for uid in range(min(a, b), max(a, b) + 1)}
    assert normalise(ranges) == runs(members)


@given(sets, sets)
def test_union_intersection_and_difference_are_those_of_sets(left: set[int], right: set[int]) -> None:
    """And what comes out is in its canonical form."""
    assert union(runs(left), runs(right)) == runs(left | right)
    assert intersect(runs(left), runs(right)) == runs(left & right)
    assert subtract(runs(left), runs(right)) == runs(left - right)


@given(sets, uids, uids)
def test_between_is_the_intersection_with_a_range(members: set[int], first: int, last: int) -> None:
    """Also where the range is empty."""
    assert between(runs(members), first, last) == runs({uid for uid in members if first <= uid <= last})


@given(sets)
def test_blocks_and_masks_lead_back_to_the_same_runs(members: set[int]) -> None:
    """Bit (uid - 1) % 64 of block (uid - 1) // 64."""
    blocks, bits = masks(runs(members))
    assert blocks == sorted({(uid - 1) // BLOCK for uid in members})
    for block, mask in zip(blocks, bits, strict=True):
        held = {block * BLOCK + 1 + bit for bit in range(BLOCK) if mask >> bit & 1}
        assert held == {uid for uid in members if (uid - 1) // BLOCK == block}
    assert from_masks(blocks, bits) == runs(members)


@given(sets)
def test_masks_may_be_signed_as_sql_has_them(members: set[int]) -> None:
    """A bigint's top bit is uid 64 of the block."""
    blocks, bits = masks(runs(members))
    signed = [mask - 2**64 if mask >> 63 else mask for mask in bits]
    assert from_masks(blocks, signed) == runs(members)


def test_the_ends_of_blocks_and_of_the_number_range_are_exact() -> None:
    """uid 64 ends a block, 65 begins one; 2^32-1 is the last of all."""
    assert masks(((64, 65),)) == ([0, 1], [1 << 63, 1])
    assert masks(((1, 128),)) == ([0, 1], [FULL, FULL])
    assert from_masks([0, 1], [-1, -1]) == ((1, 128),)
    last = ((LAST_UID, LAST_UID),)
    assert from_masks(*masks(last)) == last


def test_a_set_of_all_uids_is_one_run_however_it_is_combined() -> None:
    """Nothing visits four thousand million uids."""
    everything: Runs = ((1, LAST_UID),)
    assert subtract(everything, ((5, 5),)) == ((1, 4), (6, LAST_UID))
    assert intersect(everything, ((5, 9),)) == ((5, 9),)
    assert union(everything, ((5, 9),)) == everything
    assert count(everything) == LAST_UID
    assert normalise([(LAST_UID, 1)]) == everything


def test_nothing_is_a_set_too() -> None:
    """Empty in, empty out."""
    assert (
        normalise([]) == runs_of([]) == union((), ()) == subtract((), ((1, 2),)) == from_masks([], []) == ()
    )
    assert masks(()) == ([], [])
    assert union((), ((1, 2),)) == union(((1, 2),), ()) == subtract(((1, 2),), ()) == ((1, 2),)


class Visited(tuple[Run, ...]):
    """Runs that count how many of them are looked at one by one."""

    __slots__ = ()
    seen = 0

    def __getitem__(self, place: Any) -> Any:
        Visited.seen += not isinstance(place, slice)
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Run]:
        Visited.seen += len(self)
        return super().__iter__()


def test_a_few_uids_of_many_cost_what_the_few_cost() -> None:
    """A change of one message in a folder that lies in pieces: they are found by halving, and the rest is passed on."""
    many = Visited((first, first + 1) for first in range(1, 3 * MANY, 3))
    for few in (((7, 7),), ((3 * MANY - 2, 3 * MANY),), ((150_000, 150_010), (150_300, 150_300))):
        for combine in (union, intersect, subtract):
            Visited.seen = 0
            found = combine(many, few)
            assert Visited.seen < 100, combine.__name__
            assert is_canonical(found)
