"""What is being answered, and whether anything more may begin.

The rule: what has begun is waited for; what comes after the drain began is told so before anything is done.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.plumbing.rpc.errors import NotTaken


class Drain:
    """Counts what is in flight on one server."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._begun = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_draining(self) -> bool:
        """Nothing more may begin."""
        return self._begun.is_set()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Something that a drain waits for. Raises NotTaken."""
        if self._begun.is_set():
            raise NotTaken
        with self.rest_of_work():
            yield

    @contextmanager
    def rest_of_work(self) -> Iterator[None]:
        """The same for what belongs to something that has begun: it may outlive the stream that brought it."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """Part of something that has begun: to be left."""
        self._in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        """The end of what was entered."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    def begin(self) -> None:
        """From now on nothing more begins."""
        self._begun.set()

    async def begun(self) -> None:
        """Waits for the beginning."""
        await self._begun.wait()

    async def idle(self) -> None:
        """Waits for what is in flight."""
        await self._idle.wait()
