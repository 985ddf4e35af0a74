"""What tests of sessions share: a store whose passing octets are counted, clients that do not read, logins."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from services.imap.door import Door
from services.mail.store.messages import Appended, Body, Items, Page
from services.mail.store.uids import Runs
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, hear


class Watched:
    """The store's messages, with what passes by counted."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.largest_chunk = self.appended = self.pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(self, _mailbox: object, body: Body, size: int, *_: object) -> Appended:
        assert not isinstance(body, bytes)
        async for chunk in body:
            self.largest_chunk = max(self.largest_chunk, len(chunk))
            self.appended += len(chunk)
        assert self.appended == size
        return Appended(1, 1, 1, 1)

    async def fetch(self, mailbox: Any, uids: Runs, items: Items) -> AsyncIterator[Page]:
        for first, last in uids:
            for uid in range(first, last + 1):
                self.pages += 1
                async for page in self._inner.fetch(mailbox, ((uid, uid),), items):
                    yield page


class Reluctant(MemoryConnection):
    """A client that takes `room` octets and then no more, until it is told to."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.is_stuck, self.reads_on = asyncio.Event(), asyncio.Event()

    def write(self, data: bytes) -> None:
        super().write(data)
        self.room -= len(data)

    async def drain(self) -> None:
        if self.room < 0:
            self.is_stuck.set()
            await self.reads_on.wait()


async def logged_in(connection: MemoryConnection) -> None:
    """Logs alice in and selects her INBOX."""
    connection.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
    while not (await hear(connection)).startswith("s OK"):
        continue


async def logged_in_to(client: Any, name: str) -> None:
    """Logs alice in and selects one of her mailboxes."""
    client.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT %b\r\n' % (dialogues.PASSWORD, name.encode()))
    while not (await hear(client)).startswith("s OK"):
        continue


async def door_serves(door: Door, connection: MemoryConnection) -> None:
    """Serves one connection to its end."""
    await door.serve(connection)  # type: ignore[arg-type]
