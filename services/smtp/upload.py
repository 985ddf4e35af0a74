"""A letter too large to be held: its octets go to the store while they come in.

It knows the hand-over between the socket and the delivery. The rule: at most WAITING chunks wait, so that a store that
is slower than the peer slows the peer down.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from services.mail.store.deliveries import Delivered

WAITING: Final = 4


class Upload:
    """One delivery under way. Its result is known once `finish` returns; `abandon` leaves nothing behind."""

    def __init__(self, deliver: Callable[[AsyncIterator[bytes]], Coroutine[Any, Any, Delivered]]) -> None:
        """deliver: starts at once, with an iterator of what is put."""
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(WAITING)
        self._task = asyncio.create_task(deliver(self._iterate()))
        self._task.add_done_callback(self._let_go)

    async def put(self, chunk: bytes) -> None:
        """Hands over the next octets, as soon as there is room; drops them where the delivery has ended early."""
        if not self._task.done():
            await self._chunks.put(chunk)

    async def finish(self) -> Delivered:
        """Says that the letter is whole, and waits for the outcome. Raises what the delivery raised."""
        await self.put(b"")
        return await self._task

    async def abandon(self) -> None:
        """Ends the delivery before its body has ended."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task

    async def _iterate(self) -> AsyncIterator[bytes]:
        while chunk := await self._chunks.get():
            yield chunk

    def _let_go(self, _: asyncio.Task[Delivered]) -> None:
        while not self._chunks.empty():
            self._chunks.get_nowait()
