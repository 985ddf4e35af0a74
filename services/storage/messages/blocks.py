"""Rows of flag_blocks as columns by message.

The rule: its cost is that of the blocks; where all of a block is wanted, nothing is done message by message.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

from services.mail.store.uids import BLOCK, FULL
from services.storage.messages.keywords import join

# An octet of a mask as what `compress` takes: one octet for each bit, the least first.
_SELECTORS: Final = [bytes(octet >> bit & 1 for bit in range(8)) for octet in range(256)]


@dataclass(slots=True)
class Columns:
    """Messages, ascending by uid, in parallel; a column that was not read is empty."""

    uids: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    modseqs: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


def columns(
    rows: Iterable[Sequence[Any]], asked: Mapping[int, int], kept: Mapping[int, int] | None = None
) -> Columns:
    """The messages of these masks that live, or else are kept.

    rows: block, live, flags, modseqs, sizes (each None where it was not read), more_keywords. asked, kept: by block.
    """
    found = Columns()
    for block, live, flags, modseqs, sizes, more in rows:
        mask = asked.get(block, 0) & ((live | kept.get(block, 0)) if kept else live) & FULL
        if not mask:
            continue
        base = block * BLOCK + 1
        count = mask.bit_length()
        is_whole = mask & mask + 1 == 0  # from the first on, none is missing
        selectors = b"" if is_whole else b"".join([_SELECTORS[octet] for octet in mask.to_bytes(8, "little")])
        for column, values in (
            (found.uids, range(base, base + BLOCK)),
            (found.flags, _with_late(flags, more)),
            (found.modseqs, modseqs),
            (found.sizes, sizes),
        ):
            if values is not None:
                column.extend(values[:count] if is_whole else compress(values, selectors))
    return found


def _with_late(flags: Sequence[int] | None, more: dict[str, int] | None) -> Sequence[int] | None:
    """Flags of a block as the port has them."""
    if flags is None:
        return None
    if more:
        return [join(low, more, element) for element, low in enumerate(flags)]
    return flags if min(flags) >= 0 else [low & FULL for low in flags]
