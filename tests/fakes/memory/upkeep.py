"""Upkeep in memory: what is kept once cannot drift."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from services.mail.errors import AccountUnknown
from services.mail.store.upkeep import Verified
from tests.fakes.memory.state import State


@dataclass(frozen=True, slots=True)
class MemoryUpkeep:
    """The port's Upkeep."""

    state: State

    async def verify(
        self, account_id: int = 0, after_account_id: int = 0, after_body_id: int = 0
    ) -> AsyncGenerator[Verified, None]:
        """Every account is done at once."""
        if account_id and account_id not in self.state.ledgers:
            raise AccountUnknown
        for each in sorted(self.state.ledgers):
            if each > after_account_id and account_id in (0, each):
                kept = {
                    id(m.content): m
                    for f in self.state.ledgers[each].folders.values()
                    for m in f.live.values()
                }
                octets = sum(len(message.content.octets) for message in kept.values())
                yield Verified(each, 0, True, len(kept), octets)
