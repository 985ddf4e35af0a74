"""What a session asks of the store, and what it remembers. The store is in memory and counts."""

import asyncio
import dataclasses
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imap import incoming
from services.imap.commands import idling
from services.imap.session import folders
from services.mail.store import Store
from services.mail.store.messages import Items, Page
from services.mail.store.uids import Runs
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import Client, MemoryConnection, expect, hear


class Counting:
    """The store's messages; `asked` has the columns of each fetch, and `store` for each STORE."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.asked: list[object] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def fetch(self, mailbox: Any, uids: Runs, items: Items) -> AsyncIterator[Page]:
        self.asked.append(items)
        found: AsyncIterator[Page] = self._inner.fetch(mailbox, uids, items)
        return found

    async def store(self, *arguments: Any, **named: Any) -> Any:
        self.asked.append("store")
        return await self._inner.store(*arguments, **named)


@pytest.fixture
async def memory() -> MemoryStore:
    """A store where alice has three messages."""
    memory = MemoryStore()
    await dialogues.prepare(memory, ["alice INBOX 3 messages"])
    return memory


@pytest.fixture
def messages(memory: MemoryStore) -> Counting:
    """Its messages, counted."""
    return Counting(memory.messages)


@pytest.fixture
async def client(memory: MemoryStore, messages: Counting) -> AsyncIterator[Client]:
    """A session with INBOX selected."""
    parts = {part.name: getattr(memory, part.name) for part in dataclasses.fields(Store)}
    counted: Any = Store(**{**parts, "messages": messages})
    async with dialogues.door(counted) as door, dialogues.in_memory(door) as client:
        await select(client)
        yield client


async def answers(client: Client, command: bytes) -> list[str]:
    """What a command is answered, without its tagged OK."""
    client.send(b"a %b\r\n" % command)
    heard: list[str] = []
    while not (line := await hear(client)).startswith("a "):
        heard.append(line)
    assert line.startswith("a OK")
    return heard


async def test_flags_are_read_once(client: Client, messages: Counting) -> None:
    first = await answers(client, b"FETCH 1:* (FLAGS UID)")
    assert messages.asked == [Items.FLAGS]
    assert await answers(client, b"FETCH 1:* (UID FLAGS)") == first
    assert await answers(client, b"UID FETCH 2 FLAGS") == [first[1]]
    assert await answers(client, b"SEARCH UNSEEN") == ["* SEARCH 1 2 3"]
    assert messages.asked == [Items.FLAGS]


async def test_of_new_messages_only_their_own_flags_are_read(
    client: Client, messages: Counting, memory: MemoryStore
) -> None:
    await answers(client, b"FETCH 1:* FLAGS")
    await dialogues.meanwhile(memory, "deliver INBOX")
    await answers(client, b"NOOP")
    for _ in range(2):
        assert len(await answers(client, b"FETCH 1:* FLAGS")) == 4
    assert messages.asked == [Items.FLAGS, Items.FLAGS]


async def test_flags_are_forgotten_when_the_client_idles(
    client: Client, messages: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 2177 §3."""
    monkeypatch.setattr(folders, "KEPT_SECONDS", 0.0)
    await answers(client, b"FETCH 1:* FLAGS")
    client.send(b"i IDLE\r\n")
    await expect(client, "+ ...")
    client.send(b"DONE\r\n")
    await expect(client, "i OK ...")
    await answers(client, b"FETCH 1:* FLAGS")
    assert messages.asked == [Items.FLAGS] * 2
    monkeypatch.setattr(incoming, "KEEPS_FLAGS_SECONDS", 0.001)
    await answers(client, b"NOOP")
    await asyncio.sleep(0.05)
    await answers(client, b"FETCH 1:* FLAGS")
    assert messages.asked == [Items.FLAGS] * 3


async def test_a_session_takes_up_what_another_one_knows(messages: Counting, memory: MemoryStore) -> None:
    """Flags are read once for all sessions that have been told the same; what changes is each one's own."""
    parts = {part.name: getattr(memory, part.name) for part in dataclasses.fields(Store)}
    counted: Any = Store(**{**parts, "messages": messages})
    async with (
        dialogues.door(counted) as door,
        dialogues.in_memory(door) as first,
        dialogues.in_memory(door) as second,
        dialogues.in_memory(door) as third,
    ):
        await select(first)
        for each in (second, third):
            await select(each)
        told = await answers(second, b"FETCH 1:* (UID FLAGS)")
        assert await answers(second, b"FETCH 1:* (FLAGS UID)") == told
        assert await answers(third, b"FETCH 1:* (UID FLAGS)") == told
        assert len(await answers(first, b"FETCH 1:* (UID FLAGS)")) == 3
        assert messages.asked == [Items.FLAGS]
        await answers(third, b"STORE 2 +FLAGS.SILENT (\\Seen)")
        await answers(third, b"STORE 3 +FLAGS.SILENT ($Work)")
        assert "* 2 FETCH (UID 2 FLAGS (\\Seen))" in await answers(second, b"FETCH 1:* (UID FLAGS)")
        assert "* 3 FETCH (UID 3 FLAGS ($Work))" in await answers(third, b"FETCH 1:* (UID FLAGS)")
        await dialogues.meanwhile(memory, "expunge INBOX 1")
        assert await answers(second, b"UID FETCH 1:* (FLAGS)") == [
            "* 1 EXPUNGE",
            "* 1 FETCH (UID 2 FLAGS (\\Seen))",
            "* 2 FETCH (UID 3 FLAGS ($Work))",
        ]
        assert len(await answers(third, b"FETCH 1:* FLAGS")) == 3


async def test_idle_sessions_of_a_scattered_folder_cost_little(memory: MemoryStore) -> None:
    """They share which message has which number: alone, each would need 150 KB for a thousand runs of uids."""
    account = await memory.accounts.find_account("alice@example.org")
    inbox = (await memory.mailboxes.status(account.account_id, "INBOX"))[0].key
    for _ in range(2000):
        await memory.messages.append(inbox, b"a: b\r\n\r\n", 8)
    await memory.messages.expunge(inbox, tuple((uid, uid) for uid in range(4, 2004, 2)), even_undeleted=True)
    async with dialogues.door(memory) as door, AsyncExitStack() as sessions:

        async def idle() -> None:
            client = await sessions.enter_async_context(dialogues.in_memory(door))
            await select(client)
            await answers(client, b"FETCH 1:* FLAGS")
            client.send(b"i IDLE\r\n")
            await expect(client, "+ ...")

        await idle()
        await idle()
        tracemalloc.start()
        try:
            for _ in range(20):
                await idle()
            assert tracemalloc.get_traced_memory()[0] / 20 < 32 * 1024
        finally:
            tracemalloc.stop()


async def test_what_is_seen_already_is_not_stored_again(client: Client, messages: Counting) -> None:
    """RFC 9051 §6.4.5."""
    heard = await answers(client, b"FETCH 2 BODY[TEXT]")
    assert heard[0] == "* 2 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {8}"
    assert messages.asked.pop() == "store"
    messages.asked.clear()
    heard = await answers(client, b"FETCH 2 BODY[TEXT]")
    assert heard[0] == "* 2 FETCH (BODY[TEXT] {8}"
    assert "store" not in messages.asked
    heard = await answers(client, b"FETCH 1:3 (FLAGS BODY[TEXT])")
    assert [line for line in heard if "Seen" not in line and "FETCH" in line] == []
    assert messages.asked.count("store") == 1


async def test_flags_that_a_fetch_changes_itself_are_told_as_they_are_then(client: Client) -> None:
    """RFC 9051 §6.4.5."""
    await answers(client, b"FETCH 1:* BODY[TEXT]")
    assert await answers(client, b"SEARCH UNSEEN") == ["* SEARCH"]
    for line in await answers(client, b"FETCH 1:* FLAGS"):
        assert "Seen" in line
    await answers(client, b"STORE 1:* -FLAGS.SILENT (\\Seen)")
    await answers(client, b"FETCH 1:* (FLAGS BODY[TEXT])")
    assert await answers(client, b"SEARCH UNSEEN") == ["* SEARCH"]


async def test_idle_says_that_it_is_still_there(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9051 §6.3.13; attacks 24."""
    assert idling.STILL_HERE_SECONDS == 120
    monkeypatch.setattr(idling, "STILL_HERE_SECONDS", 0.01)
    client.send(b"i IDLE\r\n")
    await expect(client, "+ ...")
    await expect(client, "* OK Still here")
    client.send(b"DONE\r\n")
    while (line := await hear(client)) == "* OK Still here":
        continue
    assert line == "i OK IDLE completed"


class Stuck(MemoryConnection):
    """A client that never takes more than half a megabyte."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0
        self.is_stuck = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.taken += len(data)

    async def drain(self) -> None:
        if self.taken > 512 * 1024:
            self.is_stuck.set()
            await asyncio.Event().wait()


async def test_a_thousand_sections_of_a_message_are_cut_out_one_by_one(memory: MemoryStore) -> None:
    """attacks 18: 900 pieces of 240 KB each would be 200 MB."""
    await dialogues.meanwhile(memory, "expunge INBOX 1")
    account = await memory.accounts.find_account("alice@example.org")
    mailbox, _ = await memory.mailboxes.status(account.account_id, "INBOX")
    large = b"Subject: x\r\n\r\n" + b"x" * 250_000
    await memory.messages.append(mailbox.key, large, len(large))
    connection = Stuck()
    async with dialogues.door(memory) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        connection.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
        sections = b" ".join(b"BODY.PEEK[]<%d.240000>" % start for start in range(900))
        tracemalloc.start()
        try:
            connection.send(b"f FETCH 3 (%b)\r\n" % sections)
            await asyncio.wait_for(connection.is_stuck.wait(), 30)
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


OWN = [b"FETCH 1:* FLAGS", b"UID FETCH 1:* FLAGS", b"SEARCH UNSEEN", b"NOOP", b"FETCH 1:2 BODY[TEXT]", b"EXPUNGE",
       b"STORE 1 +FLAGS.SILENT (\\Deleted)", b"STORE 1:* -FLAGS (\\Seen)",
       b"UID FETCH 1:* (FLAGS BODY[TEXT])"]  # fmt: skip
OTHERS = ["deliver INBOX", "flag INBOX 2 \\Seen", "flag INBOX 3 $Work", "expunge INBOX 1", "expunge INBOX 4"]


@given(st.lists(st.sampled_from([*OWN, *OTHERS]), max_size=14))
@settings(max_examples=60, deadline=None)
def test_remembered_flags_are_the_store_s_whatever_happened(steps: list[bytes | str]) -> None:
    """RFC 3501 §7.4.2."""

    async def live() -> tuple[list[str], list[str]]:
        memory = MemoryStore()
        await dialogues.prepare(memory, ["alice INBOX 3 messages"])
        async with dialogues.door(memory) as door, dialogues.in_memory(door) as used:
            await select(used)
            for step in steps:
                if isinstance(step, bytes):
                    used.send(b"x %b\r\n" % step)
                    while not (await hear(used)).startswith("x "):
                        continue
                else:
                    await dialogues.meanwhile(memory, step)
            await answers(used, b"NOOP")
            remembered = await answers(used, b"UID FETCH 1:* FLAGS")
            async with dialogues.in_memory(door) as fresh:
                await select(fresh)
                return remembered, await answers(fresh, b"UID FETCH 1:* FLAGS")

    remembered, stored = asyncio.run(live())
    assert [line.replace(" \\Recent", "").replace("\\Recent", "") for line in remembered] == stored


async def select(client: Client) -> None:
    """Logs alice in and selects her INBOX."""
    client.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
    while not (await hear(client)).startswith("s OK"):
        continue
