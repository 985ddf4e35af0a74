"""What waits for the one writer of a stream.

The rule: no timer. What queued while the last message was being written goes together as the next, with what one turn
of the loop adds to it; alone, a frame goes at once.
"""

import asyncio
from collections import deque
from typing import Final

# Octets in one message; a single frame may be larger.
MAX_BATCH: Final = 1024 * 1024


class Outbox:
    """Frames of one repeated field: joined, they are a message. Whoever puts bounds what is owed."""

    def __init__(self, max_batch: int = MAX_BATCH) -> None:
        self._frames: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._is_closed = False
        self._max_batch = max_batch

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes) -> None:
        """Queues a frame; never waits."""
        self._frames.append(frame)
        self._wake()

    def close(self) -> None:
        """Nothing more comes; what waits still goes."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> bytes | None:
        """The next message; None at the end."""
        while not self._frames:
            if self._is_closed:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
            await asyncio.sleep(0)
        frames = self._frames
        if len(frames) == 1:
            return frames.popleft()
        batch = [frames.popleft()]
        size = len(batch[0])
        while frames and size + len(frames[0]) <= self._max_batch:
            batch.append(frames.popleft())
            size += len(batch[-1])
        return b"".join(batch)
