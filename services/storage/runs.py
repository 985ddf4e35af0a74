"""Runs of uids between the port and SQL: multiranges, and blocks with signed masks."""

from psycopg.types.multirange import Multirange

from services.mail.store.uids import FULL, Runs, masks
from services.storage.arrays import Bigints


def from_multirange(ranges: "Multirange[int] | None") -> Runs:
    """SQL's half-open ranges as runs; they come ascending and apart."""
    if not ranges:
        return ()
    return tuple(
        (each.lower, each.upper - 1) for each in ranges if each.lower is not None and each.upper is not None
    )


def block_arrays(runs: Runs) -> tuple[Bigints, Bigints]:
    """Blocks and masks as bigint[]."""
    blocks, bits = masks(runs)
    return Bigints(blocks), Bigints([bit - FULL - 1 if bit > FULL >> 1 else bit for bit in bits])
