"""Sets of UIDs, as runs and as masks of blocks.

`Runs` are ascending, disjoint, never adjacent, both ends included: ((1, 3), (7, 7)) is 1, 2, 3 and 7. A block is 64
consecutive uids; its mask has bit (uid - 1) % 64 for each member. The rule: everything here is linear in the number of
runs or blocks, never in the number of uids, except `each`, which yields them; and where a few runs meet many, the many
are looked at only where the few lie.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Final

Run = tuple[int, int]
Runs = tuple[Run, ...]

BLOCK: Final = 64
LAST_UID: Final = 2**32 - 1
FULL: Final = 2**64 - 1


def normalise(pairs: Iterable[Run]) -> Runs:
    """Sorts and merges pairs in any order; a pair may be given backwards (RFC 9051 §9, seq-range)."""
    runs: list[Run] = []
    for first, last in sorted((a, b) if a <= b else (b, a) for a, b in pairs):
        if runs and first <= runs[-1][1] + 1:
            if last > runs[-1][1]:
                runs[-1] = (runs[-1][0], last)
        else:
            runs.append((first, last))
    return tuple(runs)


def runs_of(uids: Iterable[int]) -> Runs:
    """The runs of single uids that come in ascending order, without repeats."""
    runs: list[Run] = []
    first = last = -1
    for uid in uids:
        if uid == last + 1 and first >= 0:
            last = uid
            continue
        if first >= 0:
            runs.append((first, last))
        first = last = uid
    if first >= 0:
        runs.append((first, last))
    return tuple(runs)


def each(runs: Runs) -> Iterator[int]:
    """Every uid, ascending."""
    return chain.from_iterable(range(first, last + 1) for first, last in runs)


def count(runs: Runs) -> int:
    """How many uids there are."""
    return sum(last - first + 1 for first, last in runs)


def places(runs: Runs, first: int, last: int) -> tuple[int, int]:
    """Where those runs begin and end, of all, that have a uid between these two; found by halving."""
    low = bisect_left(runs, first, key=itemgetter(1))
    return low, bisect_right(runs, last, lo=low, key=itemgetter(0))


def between(runs: Runs, first: int, last: int) -> Runs:
    """Those between two uids, both included; none where the second is the smaller."""
    if first > last:
        return ()
    low, high = places(runs, first, last)
    found = runs[low:high]
    if not found or (first <= found[0][0] and found[-1][1] <= last):
        return found
    ends = [*found]
    ends[0] = max(first, ends[0][0]), ends[0][1]
    ends[-1] = ends[-1][0], min(last, ends[-1][1])
    return tuple(ends)


def union(left: Runs, right: Runs) -> Runs:
    """What is in either."""
    if not left or not right:
        return left or right
    if len(left) < len(right):
        left, right = right, left
    low, high = places(left, right[0][0] - 1, right[-1][1] + 1)
    return left[:low] + normalise((*left[low:high], *right)) + left[high:]


def intersect(left: Runs, right: Runs) -> Runs:
    """What is in both."""
    if not left or not right:
        return ()
    left = between(left, right[0][0], right[-1][1])
    if not left or len(right) == 1:
        return left
    right = between(right, left[0][0], left[-1][1])
    if len(left) == 1:
        return right
    found: list[Run] = []
    i = j = 0
    while i < len(left) and j < len(right):
        first = max(left[i][0], right[j][0])
        last = min(left[i][1], right[j][1])
        if first <= last:
            found.append((first, last))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def subtract(left: Runs, right: Runs) -> Runs:
    """What is in the first and not in the second."""
    if not left or not right:
        return left
    low, high = places(left, right[0][0], right[-1][1])
    rest: list[Run] = []
    j = 0
    for first, last in left[low:high]:
        while j < len(right) and right[j][1] < first:
            j += 1
        start, k = first, j
        while k < len(right) and right[k][0] <= last:
            if right[k][0] > start:
                rest.append((start, right[k][0] - 1))
            start = right[k][1] + 1
            k += 1
        if start <= last:
            rest.append((start, last))
    return left[:low] + tuple(rest) + left[high:]


def each_mask(runs: Runs) -> Iterator[Run]:
    """Blocks, ascending, each with its mask (unsigned, 64 bits)."""
    current, mask = -1, 0
    for first, last in runs:
        low, high = (first - 1) // BLOCK, (last - 1) // BLOCK
        if low != current:
            if mask:
                yield current, mask
            current, mask = low, 0
        mask |= FULL << (first - 1) % BLOCK & FULL
        if low < high:
            yield low, mask
            for block in range(low + 1, high):
                yield block, FULL
            current, mask = high, FULL
        mask &= FULL >> (BLOCK - 1 - (last - 1) % BLOCK)
    if mask:
        yield current, mask


def masks(runs: Runs) -> tuple[list[int], list[int]]:
    """The blocks and, in parallel, the masks of `each_mask`."""
    pairs = list(each_mask(runs))
    return [block for block, _ in pairs], [mask for _, mask in pairs]


def from_masks(blocks: Sequence[int], bits: Sequence[int]) -> Runs:
    """The runs of blocks, which come ascending; a mask may be signed, as SQL's bigint is."""
    runs: list[Run] = []
    first, last = 0, -1
    for block, signed in zip(blocks, bits, strict=True):
        base, mask = block * BLOCK + 1, signed & FULL
        if mask == FULL and base == last + 1:
            last += BLOCK
            continue
        while mask:
            low = mask & -mask
            above = mask + low  # a carry runs through the lowest ones to the zero behind them
            start, end = base + low.bit_length() - 1, base + (mask ^ above).bit_length() - 2
            mask &= above
            if start == last + 1:
                last = end
                continue
            if first:
                runs.append((first, last))
            first, last = start, end
    if first:
        runs.append((first, last))
    return tuple(runs)
