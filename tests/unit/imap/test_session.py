"""Sessions under pressure: large messages, slow readers, news, and ends. The store is in memory."""

import asyncio
import dataclasses
import inspect
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from services.imap.door import Door
from services.imap.settings import Settings
from services.mail.errors import StoreUnavailable
from services.mail.store import Store
from services.mail.store.messages import Appended, Body, Items, Page
from services.mail.store.uids import Runs
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, expect, hear

MEGABYTE = 1024 * 1024


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

    def writelines(self, parts: list[bytes]) -> None:
        self.write(b"".join(parts))

    async def drain(self) -> None:
        if self.room < 0:
            self.is_stuck.set()
            await self.reads_on.wait()


async def logged_in(connection: MemoryConnection) -> None:
    """Logs alice in and selects her INBOX."""
    connection.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
    while not (await hear(connection)).startswith("s OK"):
        continue


@pytest.fixture
async def store() -> MemoryStore:
    """A store where alice has no mail."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice"])
    return store


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

        def writelines(self, parts: list[bytes]) -> None:
            self.write(b"".join(parts))

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


async def test_a_session_in_idle_hears_that_its_mailbox_is_gone(store: MemoryStore) -> None:
    """RFC 9051 §6.3.5."""
    account = await store.accounts.find_account("alice@example.org")
    await store.mailboxes.create(account.account_id, "Archive")
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "Archive")
        client.send(b"i IDLE\r\n")
        await expect(client, "+ ...")
        await dialogues.meanwhile(store, "delete Archive")
        await expect(client, "* BYE ...")
        await expect(client, "end")


async def logged_in_to(client: Any, name: str) -> None:
    """Logs alice in and selects one of her mailboxes."""
    client.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT %b\r\n' % (dialogues.PASSWORD, name.encode()))
    while not (await hear(client)).startswith("s OK"):
        continue


async def test_a_session_in_idle_stays_while_the_store_is_away(store: MemoryStore) -> None:
    """RFC 2177: what it could not be told then, it is told later."""
    account = await store.accounts.find_account("alice@example.org")
    asked = asyncio.Event()

    class Away:
        is_away = True

        def __getattr__(self, name: str) -> Any:
            return getattr(store.mailboxes, name)

        async def highest_modseq(self, mailbox: Any) -> int:
            if self.is_away and await store.mailboxes.highest_modseq(mailbox) > 1:
                asked.set()
                raise StoreUnavailable
            return await store.mailboxes.highest_modseq(mailbox)

    away = Away()
    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    watching: Any = Store(**{**parts, "mailboxes": away})
    async with dialogues.door(watching) as door, dialogues.over_socket(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"i IDLE\r\n")
        await expect(client, "+ ...")
        await dialogues.meanwhile(store, "deliver INBOX")
        await asyncio.wait_for(asked.wait(), 10)
        away.is_away = False
        door.signals._wake([account.account_id])
        await expect(client, "* 1 EXISTS")
        await expect(client, "* 1 RECENT")
        client.send(b"DONE\r\n")
        await expect(client, "i OK ...")


async def test_what_would_be_there_twice_has_a_request_id(store: MemoryStore) -> None:
    """APPEND, COPY and CREATE are sent again where a copy of storage dies: each once, whatever happened."""
    ids: list[UUID | None] = []

    class Noting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            wanted = getattr(self._inner, name)
            if name not in ("append", "copy", "create"):
                return wanted

            async def noted(*args: Any, **named: Any) -> Any:
                ids.append(inspect.signature(wanted).bind(*args, **named).arguments.get("request_id"))
                return await wanted(*args, **named)

            return noted

    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    parts |= {"messages": Noting(store.messages), "mailboxes": Noting(store.mailboxes)}
    async with dialogues.door(Store(**parts)) as door, dialogues.in_memory(door) as client:  # type: ignore[arg-type]
        await logged_in_to(client, "INBOX")
        client.send(b"a CREATE Archive\r\nb APPEND INBOX {8+}\r\na: b\r\n\r\n\r\nc COPY 1 Archive\r\n")
        for tag in "abc":
            while not (line := await hear(client)).startswith(tag):
                continue
            assert line.startswith(f"{tag} OK"), line
    assert len(ids) == len(set(ids) - {None}) == 3


async def test_a_date_before_1970_is_the_first_of_1970(store: MemoryStore) -> None:
    """Clients copy such dates from other servers; the message is worth more than its date."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(
            b'a APPEND INBOX "01-Jan-1970 00:00:00 +0100" {8+}\r\na: b\r\n\r\n\r\nb FETCH 1 INTERNALDATE\r\n'
        )
        while (line := await hear(client)).startswith("* ") and "INTERNALDATE" not in line:
            continue
        assert line.startswith("a OK"), line
        await expect(client, '* 1 FETCH (INTERNALDATE "01-Jan-1970 00:00:00 +0000")')


async def test_a_long_search_lets_others_have_their_turn(store: MemoryStore) -> None:
    """Counted are the turns of somebody else while it runs."""
    for number in range(1, 201):
        await dialogues.add(store, "INBOX", number)
    turns, is_over = 0, False

    async def take_turns() -> None:
        nonlocal turns
        while not is_over:
            await asyncio.sleep(0)
            turns += 1

    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"a SEARCH UID 1\r\n")
        await expect(client, "* SEARCH 1")
        await expect(client, "a OK ...")
        other = asyncio.create_task(take_turns())
        client.send(b"b SEARCH " + b"NOT UID 4294967295 " * 499 + b"UID 2\r\n")
        await expect(client, "* SEARCH 2")
        await expect(client, "b OK ...")
        is_over = True
        await other
    assert turns > 200 * 1000 / 20_000


async def test_a_process_that_stops_says_bye(store: MemoryStore) -> None:
    """RFC 9051 §7.1.5."""
    connection = MemoryConnection()
    async with dialogues.door(store) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        await logged_in(connection)
        door.stopping.set()
        connection.send(b"")
        await expect(connection, "* BYE Server is stopping")
        await serving


async def test_a_login_that_takes_too_long_ends(store: MemoryStore) -> None:
    connection = MemoryConnection()
    async with dialogues.door(store) as door:
        hasty = dataclasses.replace(door, settings=Settings(login_seconds=0.01))
        await door_serves(hasty, connection)
        await expect(connection, "* OK ...")
        await expect(connection, "* BYE Autologout...")


async def door_serves(door: Door, connection: MemoryConnection) -> None:
    """Serves one connection to its end."""
    await door.serve(connection)  # type: ignore[arg-type]


async def test_passwords_wait_for_tls_from_elsewhere(store: MemoryStore) -> None:
    """RFC 9051 §6.2.3, LOGINDISABLED."""
    connection = MemoryConnection()
    connection.peer = ("192.0.2.1", 40000)
    connection.has_tls = True
    async with dialogues.door(store) as door:
        serving = asyncio.create_task(door_serves(door, connection))
        await expect(connection, "* OK [CAPABILITY IMAP4rev1 LITERAL+ ID STARTTLS LOGINDISABLED] ...")
        connection.send(b'a LOGIN alice@example.org "%b"\r\n' % dialogues.PASSWORD)
        await expect(connection, "a NO [PRIVACYREQUIRED] ...")
        connection.send(b"b AUTHENTICATE PLAIN\r\n")
        await expect(connection, "b NO [PRIVACYREQUIRED] ...")
        connection.send(b"")
        await serving


async def test_sessions_of_an_account_are_bounded(store: MemoryStore) -> None:
    connections = [MemoryConnection() for _ in range(3)]
    async with dialogues.door(store) as door:
        narrow = dataclasses.replace(door, settings=Settings(account_connections=2))
        serving = [asyncio.create_task(door_serves(narrow, connection)) for connection in connections]
        for connection, answer in zip(connections, ("OK", "OK", "NO [LIMIT]"), strict=True):
            await expect(connection, "* OK ...")
            connection.send(b'a LOGIN alice@example.org "%b"\r\n' % dialogues.PASSWORD)
            await expect(connection, f"a {answer} ...")
        for connection in connections:
            connection.send(b"")
        await asyncio.gather(*serving)
        assert narrow.sessions == {}


async def test_a_bug_is_told_as_one_and_the_session_goes_on(store: MemoryStore) -> None:
    """RFC 5530 §3, SERVERBUG."""

    class Broken(Watched):
        async def store(self, *_: object) -> None:
            raise RuntimeError("a bug")

    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    await dialogues.add(store, "INBOX", 1)
    broken: Any = Store(**{**parts, "messages": Broken(store.messages)})
    async with dialogues.door(broken) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"a STORE 1 +FLAGS (\\Seen)\r\nb NOOP\r\n")
        await expect(client, "a NO [SERVERBUG] Internal error, try again later")
        await expect(client, "b OK ...")


async def test_a_silent_store_is_news_for_others_only(store: MemoryStore) -> None:
    """One session's silent STORE is another one's news, and not its own. RFC 9051 §6.4.6."""
    await dialogues.add(store, "INBOX", 1)
    async with (
        dialogues.door(store) as door,
        dialogues.in_memory(door) as one,
        dialogues.in_memory(door) as two,
    ):
        await logged_in_to(one, "INBOX")
        await logged_in_to(two, "INBOX")
        one.send(b"a STORE 1 +FLAGS.SILENT (\\Seen)\r\nb NOOP\r\n")
        await expect(one, "a OK ...")
        await expect(one, "b OK ...")
        two.send(b"c NOOP\r\n")
        await expect(two, "* 1 FETCH (UID 1 FLAGS (\\Seen))")
        await expect(two, "c OK ...")


async def test_what_came_in_plain_text_behind_starttls_is_forgotten(store: MemoryStore) -> None:
    """RFC 9051 §6.2.1, CVE-2011-0411."""

    class Securing(MemoryConnection):
        async def start_tls(self, reply: bytes) -> None:
            self.write(reply)
            self.is_tls, self.has_tls = True, False

    connection = Securing()
    connection.has_tls = True
    async with dialogues.door(store) as door:
        serving = asyncio.create_task(door_serves(door, connection))
        await expect(connection, "* OK ...")
        connection.send(b"a STARTTLS\r\nb CREATE injected\r\nc LOG")
        await expect(connection, "a OK Begin TLS now")
        connection.send(b"d CAPABILITY\r\n")
        await expect(connection, "* CAPABILITY IMAP4rev1 LITERAL+ ID SASL-IR AUTH=PLAIN")
        await expect(connection, "d OK ...")
        connection.send(b"")
        await serving


async def test_sessions_are_listed_and_can_be_ended(store: MemoryStore) -> None:
    """An operator's view: who is logged in, and which mailbox is selected."""
    await dialogues.add(store, "INBOX", 1)
    async with (
        dialogues.door(store) as door,
        dialogues.in_memory(door) as client,
        dialogues.in_memory(door) as idle,
    ):
        await logged_in_to(client, "INBOX")
        await door.presence.beat()
        (listed,) = await store.sessions.list()
        assert (listed.door, listed.peer, listed.mailbox_id) == ("imap", "127.0.0.1", 1)
        await dialogues.meanwhile(store, "expunge INBOX 1")
        client.send(b"n NOOP\r\n")
        await expect(client, "* 1 EXPUNGE")
        await expect(client, "n OK ...")
        await door.presence.beat()
        (moved,) = await store.sessions.list()
        assert moved.expunged_to > listed.expunged_to
        await logged_in_to(idle, "INBOX")
        idle.send(b"i IDLE\r\n")
        await expect(idle, "+ ...")
        await door.presence.beat()
        for session in await store.sessions.list():
            assert await store.sessions.end(session.session_id)
        await door.presence.beat()
        for each in (client, idle):
            await expect(each, "* BYE The session was ended by an operator")
            await expect(each, "end")
        await door.presence.beat()
        assert await store.sessions.list() == []


async def test_twenty_bad_commands_end_a_session(store: MemoryStore) -> None:
    """attacks 16."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"".join(b"x%d FOO\r\n" % number for number in range(25)))
        for number in range(20):
            await expect(client, f"x{number} BAD unknown command")
        await expect(client, "* BYE Too many bad commands")
        await expect(client, "end")


async def test_lines_before_login_have_8_kb_and_sasl_answers_12(store: MemoryStore) -> None:
    """attacks 16, 24; RFC 4954 §4 names the 12,288 octets."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await expect(client, "* OK ...")
        client.send(b"a LOGIN alice@example.org %b\r\n" % (b"x" * 8192))
        await expect(client, "a BAD Command line too long")
        client.send(b"b AUTHENTICATE PLAIN\r\n")
        await expect(client, "+ ")
        client.send(b"A" * 12_288 + b"\r\n")
        await expect(client, "b BAD not a PLAIN answer")
        client.send(b"c AUTHENTICATE PLAIN\r\n")
        await expect(client, "+ ")
        client.send(b"A" * 12_289 + b"\r\n")
        await expect(client, "* BYE Line too long")


async def test_a_literal_beyond_the_budget_is_never_asked_for(store: MemoryStore) -> None:
    """attacks 14: 64 KB before login, 1 MB after; what comes unasked is read past, or the connection ends."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await expect(client, "* OK ...")
        client.send(b"a LOGIN {65536}\r\n")
        await expect(client, "a BAD Command too large")
        client.send(b'l LOGIN alice@example.org "%b"\r\n' % dialogues.PASSWORD)
        await expect(client, "l OK ...")
        client.send(b"b CREATE {1048576}\r\n")
        await expect(client, "b BAD Command too large")
        client.send(b"c CREATE {1048576+}\r\n" + b"x" * 1_048_576 + b"\r\nd NOOP\r\n")
        await expect(client, "c BAD Command too large")
        await expect(client, "d OK ...")
        client.send(b"e CREATE {4294967295+}\r\n")
        await expect(client, "* BYE Literal too large")
