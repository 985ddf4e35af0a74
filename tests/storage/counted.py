"""Statements that were asked for. The rule: what storage does by the clock, and for texts behind delivery, is none."""

from collections import Counter
from typing import Final

from services.storage.store import PostgresStore

_BY_THE_CLOCK: Final = ("sweep: ", "read modseqs", "search: unprepared", "search: prepare")


def asked(store: PostgresStore) -> Counter[str]:
    """How often each was sent so far, by name."""
    return Counter(
        {name: count for name, count in store.counts.by_name.items() if not name.startswith(_BY_THE_CLOCK)}
    )
