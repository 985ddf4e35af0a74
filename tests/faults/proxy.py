"""A way to PostgreSQL that can be cut at the worst moment.

The rule: octets pass as they are; only when they stop is chosen.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cable:
    """Connections through one port of 127.0.0.1 to another.

    swallow: answers no longer come through. cut: ends every connection and refuses new ones. mend: as before.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_swallowing = False
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self) -> None:
        """What the server answers from now on is lost."""
        self._is_swallowing = True

    def cut(self) -> None:
        """Nobody gets through."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Everybody gets through again."""
        self._is_cut = self._is_swallowing = False

    async def close(self) -> None:
        """Ends for good."""
        self.cut()
        await asyncio.gather(*self._tasks)

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, server}
        try:
            await asyncio.gather(self._forward(reader, server), self._forward(answers, writer, True))
        finally:
            self._writers -= {writer, server}

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool = False
    ) -> None:
        with suppress(OSError):
            while octets := await reader.read(65536):
                if is_answer and self._is_swallowing:
                    continue
                writer.write(octets)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def cable_to(database_url: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to a database, and the URL that goes through it."""
    start, _, rest = database_url.rpartition("@")
    host, _, database = rest.partition("/")
    cable = Cable(int(host.rpartition(":")[2]))
    listening = await asyncio.start_server(cable.serve, "127.0.0.1", 0)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield cable, f"{start}@127.0.0.1:{port}/{database}"
    finally:
        listening.close()
        await cable.close()
