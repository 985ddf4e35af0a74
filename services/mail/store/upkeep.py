"""Upkeep: whether what is stored adds up. This part of the store's port."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verified:
    """A step of `verify`.

    body_id: up to which the account's bodies are compared. is_done: the account is. bodies, octets: compared in this
    step. drifts: what does not add up, a line each.
    """

    account_id: int
    body_id: int
    is_done: bool
    bodies: int = 0
    octets: int = 0
    drifts: Sequence[str] = ()


class Upkeep(Protocol):
    """What operators ask of a store as a whole."""

    def verify(
        self, account_id: int = 0, after_account_id: int = 0, after_body_id: int = 0
    ) -> AsyncIterator[Verified]:
        """Recounts accounts and compares the hashes of what they store, in the order of their numbers.

        account_id: 0 is every account. after_account_id, after_body_id: where to go on, as a step told. It only reads,
        beside live traffic, each check in one snapshot. Raises AccountUnknown.
        """
        ...
