"""The flags of a view's messages by position, once they were used.

The rule: whatever is known is at least as fresh as the view's `flags_to`, so once `updates` has caught up with the
mailbox's last change, it is exact. It costs eight octets per message and is dropped when its session idles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

UNKNOWN: Final = -1
MOST_MESSAGES: Final = 1_000_000
FEW: Final = 64


class Flags:
    """Bits of flags for the sequence numbers 1…count; nothing until they are loaded."""

    __slots__ = ("_bits", "_is_shared")

    def __init__(self) -> None:
        self._bits: list[int] | None = None
        self._is_shared = False

    @property
    def are_loaded(self) -> bool:
        """Whether anything is known."""
        return self._bits is not None

    def load(self, bits: list[int]) -> None:
        """Takes the flags of all messages, in their order; others may hold the same list, and it stays as it is."""
        if len(bits) <= MOST_MESSAGES:
            self._bits, self._is_shared = bits, True

    def share(self) -> list[int] | None:
        """The flags of all messages, to be read only; None where one of them is not known."""
        if self._bits is None or UNKNOWN in self._bits:
            return None
        self._is_shared = True
        return self._bits

    def drop(self) -> None:
        """Forgets all."""
        self._bits = None

    def _to_change(self) -> list[int] | None:
        if self._is_shared and self._bits is not None:
            self._bits, self._is_shared = list(self._bits), False
        return self._bits

    def add(self, count: int) -> None:
        """Makes room for messages behind the last one; their flags are not known yet."""
        if count and (bits := self._to_change()) is not None:
            bits += [UNKNOWN] * count

    def remove(self, numbers: Sequence[int]) -> None:
        """Drops messages: ascending sequence numbers of the same moment."""
        known = self._to_change() if numbers else None
        if known is None:
            return
        if len(numbers) <= FEW:
            for number in reversed(numbers):
                del known[number - 1]
            return
        gone = {number - 1 for number in numbers}
        self._bits = [bits for place, bits in enumerate(known) if place not in gone]

    def put(self, numbers: Sequence[int], flags: Sequence[int]) -> None:
        """Notes what was read or written; a number of 0 is nobody's."""
        known = self._to_change() if numbers else None
        if known is None:
            return
        if isinstance(numbers, range) and numbers:
            known[numbers[0] - 1 : numbers[-1]] = flags
            return
        for number, bits in zip(numbers, flags, strict=True):
            if number:
                known[number - 1] = bits

    def of(self, numbers: Sequence[int]) -> Sequence[int]:
        """The flags at these numbers, UNKNOWN where they are not known."""
        known = self._bits
        if known is None:
            return [UNKNOWN] * len(numbers)
        if isinstance(numbers, range) and numbers:
            return known[numbers[0] - 1 : numbers[-1]]
        return [known[number - 1] for number in numbers]
