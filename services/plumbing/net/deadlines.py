"""One coarse timer for the timeouts of all connections of a listener.

A connection that waits sets one number; it costs no timer of its own. Rule: a deadline is kept to the second,
never earlier than asked for, at most two seconds late.
"""

import asyncio
import math
from typing import Protocol


class Waiting(Protocol):
    """What can run out of time: when it does next, and the second under which the wheel holds it."""

    due: float
    held_under: float

    def expire(self) -> None: ...


class Deadlines:
    """The wheel: whoever waits is held under the second in which it is looked at again."""

    __slots__ = ("_loop", "_seconds", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds: dict[float, set[Waiting]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self._loop.time()

    def watch(self, waiting: Waiting) -> None:
        """Calls expire() once waiting.due has passed; due may move later at no cost, math.inf means not waiting."""
        second = math.ceil(waiting.due)
        if second >= waiting.held_under:
            return
        self.forget(waiting)
        self._hold(waiting, second)
        if self._timer is None:
            self._timer = self._loop.call_later(1.0, self._tick)

    def forget(self, waiting: Waiting) -> None:
        """Lets go of what will not wait again."""
        held = self._seconds.get(waiting.held_under)
        if held is not None:
            held.discard(waiting)
            if not held:
                del self._seconds[waiting.held_under]
        waiting.held_under = math.inf

    def _hold(self, waiting: Waiting, second: float) -> None:
        waiting.held_under = second
        self._seconds.setdefault(second, set()).add(waiting)

    def _tick(self) -> None:
        now = self.now()
        for second in [second for second in self._seconds if second <= now]:
            for waiting in self._seconds.pop(second):
                waiting.held_under = math.inf
                if waiting.due <= now:
                    waiting.expire()
                elif waiting.due != math.inf:
                    self._hold(waiting, math.ceil(waiting.due))
        self._timer = self._loop.call_later(1.0, self._tick) if self._seconds else None
