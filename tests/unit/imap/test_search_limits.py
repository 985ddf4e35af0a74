"""A search has its time, and ends with its client. Attacks 19."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

from services.imap.settings import Settings
from services.mail.store import Store
from services.mail.store.search import Found
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, expect
from tests.unit.imap.sessions import logged_in, logged_in_to


class Endless:
    """A search that finds nothing, for ever, and notes its end."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def search(self, *_: object) -> AsyncIterator[Found]:
        """See the port."""
        try:
            while True:
                self.begun.set()
                await asyncio.sleep(0.001)
                yield Found((), (), 1)
        finally:
            self.ended.set()


def endless(store: MemoryStore) -> tuple[Any, Endless]:
    """The same store with such a search."""
    search = Endless()
    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    return Store(**{**parts, "search": search}), search


async def test_a_search_that_takes_too_long_is_given_up(store: MemoryStore) -> None:
    """NO [LIMIT], the saved result is empty (RFC 5182 §2.1), and the session goes on."""
    await dialogues.add(store, "INBOX", 1)
    patched, search = endless(store)
    async with dialogues.door(patched) as door:
        door.settings = Settings(search_seconds=0.05)
        async with dialogues.in_memory(door) as client:
            await logged_in_to(client, "INBOX")
            client.send(b"a SEARCH RETURN (SAVE) ALL\r\nb SEARCH RETURN (SAVE) TEXT x\r\nc SEARCH $\r\n")
            await expect(client, "a OK ...")
            await expect(client, "b NO [LIMIT] The search took too long")
            await expect(client, "* SEARCH")
            await expect(client, "c OK ...")
    assert search.ended.is_set()


async def test_a_client_that_goes_ends_its_search(store: MemoryStore) -> None:
    patched, search = endless(store)
    connection = MemoryConnection()
    async with dialogues.door(patched) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        await logged_in(connection)
        connection.send(b"s SELECT INBOX\r\na SEARCH TEXT x\r\n")
        await asyncio.wait_for(search.begun.wait(), 10)
        connection.is_lost = True
        await asyncio.wait_for(serving, 10)
    assert search.ended.is_set()


async def test_a_client_that_closed_its_side_is_waited_for_a_moment(store: MemoryStore) -> None:
    patched, search = endless(store)
    connection = MemoryConnection()
    async with dialogues.door(patched) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        await logged_in(connection)
        connection.send(b"s SELECT INBOX\r\na SEARCH TEXT x\r\n")
        await asyncio.wait_for(search.begun.wait(), 10)
        connection.has_ended = True
        connection.send(b"")
        await asyncio.wait_for(serving, 10)
    assert search.ended.is_set()
