"""Large messages and slow readers: memory stays flat, and nobody waits for somebody else. The store is in memory."""

import asyncio
import dataclasses
from typing import Any

from services.imap.conversation import Session
from services.imap.registry import read_verb
from services.imap.session.state import Selected
from services.imap.session.view import View
from services.imap.session.writer import GATHERED
from services.mail.imap.arguments import Arguments
from services.mail.store import Store
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, expect, hear
from tests.unit.imap.sessions import Reluctant, Watched, logged_in

MEGABYTE = 1024 * 1024


async def test_a_message_of_50_mb_passes_in_small_pieces(store: MemoryStore) -> None:
    """RFC 9051 §6.3.12."""
    watched = Watched(store.messages)
    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    watching: Any = Store(**{**parts, "messages": watched})
    async with dialogues.door(watching) as door, dialogues.over_socket(door) as client:
        client.send(b'l LOGIN alice@example.org "%b"\r\n' % dialogues.PASSWORD)
        await expect(client, "* OK ...")
        await expect(client, "l OK ...")
        client.send(b"a APPEND INBOX {%d}\r\n" % (50 * MEGABYTE))
        await expect(client, "+ ...")
        for _ in range(50):
            client.send(b"x" * MEGABYTE)
        client.send(b"\r\n")
        await expect(client, "a OK ...")
    assert watched.appended == 50 * MEGABYTE
    assert watched.largest_chunk <= 64 * 1024


async def test_a_reader_that_does_not_read_stops_the_reading_from_the_store(store: MemoryStore) -> None:
    """The same FETCH goes on when the client does."""
    for number in range(1, 21):
        await dialogues.add(store, "INBOX", number, is_bulky=True)
    watched = Watched(store.messages)
    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    watching: Any = Store(**{**parts, "messages": watched})
    connection = Reluctant(MEGABYTE)
    async with dialogues.door(watching) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        await logged_in(connection)
        connection.send(b"f FETCH 1:* BODY.PEEK[]\r\n")
        await asyncio.wait_for(connection.is_stuck.wait(), 10)
        assert watched.pages <= 5
        connection.reads_on.set()
        while not (await hear(connection)).startswith("f OK"):
            continue
        assert watched.pages == 20
        connection.send(b"")
        await serving


async def test_what_was_pipelined_is_answered_in_one_write(store: MemoryStore) -> None:
    """RFC 9051 §5.5."""
    written: list[bytes] = []

    class Recording(MemoryConnection):
        def write(self, data: bytes) -> None:
            written.append(data)
            super().write(data)

    connection = Recording()
    async with dialogues.door(store) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        await logged_in(connection)
        before = len(written)
        connection.send(b"".join(b"n%d NOOP\r\n" % number for number in range(100)))
        for number in range(100):
            await expect(connection, f"n{number} OK ...")
        assert len(written) == before + 1
        connection.send(b"")
        await serving


async def test_a_long_answer_lets_others_have_their_turn(store: MemoryStore) -> None:
    """One for every packet or so that leaves, though the client takes all of it at once."""
    turns = 0
    is_over = False

    async def take_turns() -> None:
        nonlocal turns
        while not is_over:
            turns += 1
            await asyncio.sleep(0)

    connection = MemoryConnection()
    async with dialogues.door(store) as door:
        session = Session(door, connection)  # type: ignore[arg-type]
        account = await store.accounts.find_account("alice@example.org")
        mailbox, _ = await store.mailboxes.status(account.account_id, "INBOX")
        view = View(((1, 200_000),), 200_001, 1)
        session.state.account, session.state.selected = account, Selected(mailbox, True, view)
        other = asyncio.create_task(take_turns())
        await session._run(b"a UID FETCH 1:* (UID)")
        is_over = True
        await other
    assert turns > 200_000 * len("* 100000 FETCH (UID 100000)") // (4 * GATHERED)


async def test_a_long_search_lets_others_have_their_turn(store: MemoryStore) -> None:
    """Hundreds of sets over a view in thirty thousand pieces: somebody else has a turn every few milliseconds."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with dialogues.door(store) as door:
        session = Session(door, MemoryConnection())  # type: ignore[arg-type]
        account = await store.accounts.find_account("alice@example.org")
        mailbox, _ = await store.mailboxes.status(account.account_id, "INBOX")
        view = View(tuple((uid, uid) for uid in range(1, 60_001, 2)), 60_001, 1)
        session.state.account, session.state.selected = account, Selected(mailbox, True, view)
        octets = b"a SEARCH 1 " + b"NOT UID 4294967295:3000000000 UID 1:100,300:* 1:* " * 150 + b"UID 1"
        args = Arguments(octets)
        args.tag()
        row, _ = read_verb(args)
        command = row.kind.parse(args)
        other = asyncio.create_task(take_turns())
        answers = [answer.render() async for answer in command.run(session)]
        other.cancel()
    assert b"".join(answers).startswith(b"* SEARCH 1\r\n")
    assert turns >= 4
