"""Letters of a folder, some at a time: as many as go into one transaction.

The rule: a batch is read while the one before it is being stored, in a thread, so that neither waits for the other.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid5

from services.cli.sources import Broken, Letter

# What is in flight stays small beside what a call may hold, so that Ctrl-C is quick and progress is seen.
BATCH_LETTERS: Final = 500
BATCH_OCTETS: Final = 4 * 1024 * 1024
# Made once, for this; the same everywhere and for good.
_NAMESPACE: Final = UUID("6f1e0f0e-6f43-5d0f-9f39-9d3f1d1f6a55")


@dataclass(slots=True)
class Batch:
    """Letters with the keys that they take effect once by, and what could not be read between them."""

    letters: dict[UUID, Letter] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    repeated: list[Letter] = field(default_factory=list)
    octets: int = 0

    def add(self, key: UUID, letter: Letter) -> None:
        """Takes a letter; one that its source shows twice is the same one."""
        if key in self.letters:
            self.repeated.append(letter)
        else:
            self.letters[key] = letter
            self.octets += letter.size

    def is_full(self, letter: Letter) -> bool:
        """Whether this one goes into the next: too much, or the first without a uid behind those that have one."""
        if not self.letters:
            return False
        first = next(iter(self.letters.values()))
        return (
            len(self.letters) >= BATCH_LETTERS
            or self.octets + letter.size > BATCH_OCTETS
            or bool(first.uid) != bool(letter.uid)
        )


def key_of(source: str, letter: Letter) -> UUID:
    """What a letter takes effect once by in a mailbox: where it is from, and what it is there."""
    return uuid5(_NAMESPACE, f"{source}\n{letter.identity}")


def in_batches(source: str, letters: Iterator[Letter | Broken]) -> Iterator[Batch]:
    """All letters in their order."""
    batch = Batch()
    for letter in letters:
        if isinstance(letter, Broken):
            batch.broken.append(letter)
            continue
        if batch.is_full(letter):
            yield batch
            batch = Batch()
        batch.add(key_of(source, letter), letter)
    if batch.letters or batch.broken:
        yield batch


async def read_ahead(batches: Iterator[Batch]) -> AsyncIterator[Batch]:
    """The batches, the next one read in a thread meanwhile."""
    following = asyncio.create_task(asyncio.to_thread(next, batches, None))
    try:
        while (batch := await following) is not None:
            following = asyncio.create_task(asyncio.to_thread(next, batches, None))
            yield batch
    finally:
        # A thread cannot be cancelled: it reads its batch to the end and is not listened to.
        if not following.done():
            following.cancel()
        elif not following.cancelled():
            following.exception()
