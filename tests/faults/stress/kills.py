"""kill -9 of one copy after another while the clients work.

The rule: one at a time, and each is back before the clients stop, so that a checkpoint finds everything running.
"""

import asyncio
import random
from itertools import cycle

from tests.faults.stress.cluster import Copies

VICTIMS = ("storage", "imap-1", "storage-2", "imap", "imap-2")


class Killer:
    """Kills every copy in turn."""

    def __init__(self, copies: Copies, seed: str) -> None:
        self._copies = copies
        self._chance = random.Random(seed)
        self._turns = cycle(VICTIMS)

    async def kill_one(self) -> None:
        """Waits a moment, and kills."""
        await asyncio.sleep(0.3 + self._chance.random())
        await asyncio.to_thread(self._copies.kill, next(self._turns))
