"""One timer for all calls of a stream.

The rule: a deadline is kept to the loop's precision, and a call that ends before its own costs no timer: the only one
stands at the earliest deadline that was known when it was set.
"""

import asyncio
import math
from collections.abc import Callable


class Deadlines:
    """Calls by their ids, and when each is over. expire: told the id of a call whose time has passed."""

    __slots__ = ("_at", "_due", "_expire", "_loop", "_timer")

    def __init__(self, expire: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._expire = expire
        self._due: dict[int, float] = {}
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call_id: int, due: float) -> None:
        """due: loop time."""
        self._due[call_id] = due
        if due < self._at:
            self._arm(due)

    def remove(self, call_id: int) -> None:
        """The call has ended, however it did."""
        self._due.pop(call_id, None)

    def close(self) -> None:
        """Nothing expires any more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        for call_id in [call_id for call_id, due in self._due.items() if due <= now]:
            del self._due[call_id]
            self._expire(call_id)
        self._at, self._timer = math.inf, None
        if self._due:
            self._arm(min(self._due.values()))
