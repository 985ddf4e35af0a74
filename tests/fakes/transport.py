"""A transport without a socket: what a connection writes can be read, and what it is told it takes for the peer's."""

import asyncio
from typing import Any

from services.plumbing.net.connection import Connection


class MemoryTransport(asyncio.Transport):
    """written: what the connection sent; it ends when the connection is closed."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.written = asyncio.StreamReader()
        self.reads = True
        self._connection = connection
        self._is_closed = False
        connection.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.feed_data(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever kept back."""

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self.written.feed_eof()
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default
