"""Sets of UIDs, as runs and as masks of blocks.

`Runs` are ascending, disjoint, never adjacent, both ends included: ((1, 3), (7, 7)) is 1, 2, 3 and 7. A block is 64
consecutive uids; its mask has bit (uid - 1) % 64 for each member. The rule: everything here is linear in the number of
runs or blocks, never in the number of uids, except `each`, which yields them.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
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
    return chain.from_iterable([range(first, last + 1) for first, last in runs])


def count(runs: Runs) -> int:
    """How many uids there are."""
    return sum(last - first + 1 for first, last in runs)


def union(left: Runs, right: Runs) -> Runs:
    """What is in either."""
    if not left or not right:
        return left or right
    return normalise((*left, *right))


def intersect(left: Runs, right: Runs) -> Runs:
    """What is in both."""
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
    rest: list[Run] = []
    j = 0
    for first, last in left:
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
    return tuple(rest)


def masks(runs: Runs) -> tuple[list[int], list[int]]:
    """Blocks, ascending, and the mask of each (unsigned, 64 bits)."""
    blocks: list[int] = []
    bits: list[int] = []
    for first, last in runs:
        low, high = (first - 1) // BLOCK, (last - 1) // BLOCK
        for block in range(low, high + 1):
            start = (first - 1) % BLOCK if block == low else 0
            end = (last - 1) % BLOCK if block == high else BLOCK - 1
            mask = (FULL >> (BLOCK - 1 - end)) & (FULL << start) & FULL
            if blocks and blocks[-1] == block:
                bits[-1] |= mask
            else:
                blocks.append(block)
                bits.append(mask)
    return blocks, bits


def from_masks(blocks: Sequence[int], bits: Sequence[int]) -> Runs:
    """The runs of blocks, which come ascending; a mask may be signed, as SQL's bigint is."""
    runs: list[Run] = []
    for block, signed in zip(blocks, bits, strict=True):
        mask = signed & FULL
        base = block * BLOCK + 1
        while mask:
            start = (mask & -mask).bit_length() - 1
            length = (~(mask >> start) & -(~(mask >> start))).bit_length() - 1
            first, last = base + start, base + start + length - 1
            if runs and runs[-1][1] + 1 == first:
                runs[-1] = (runs[-1][0], last)
            else:
                runs.append((first, last))
            mask &= ~(((1 << length) - 1) << start)
    return tuple(runs)
