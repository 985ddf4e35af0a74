"""The door over real sockets with a store in memory: what a dialogue cannot show."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from uuid import uuid4

import pytest

from services.mail.errors import MailboxInUse, StoreUnavailable
from services.mail.store import Store
from services.mail.store.imports import Incoming
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Items, Page
from services.mail.store.sessions import LEASE_SECONDS
from services.mail.store.uids import Runs
from services.plumbing.net.connection import Connection
from services.plumbing.net.listener import Handler
from services.plumbing.net.tls import TlsContext
from services.pop3.door import Door
from services.pop3.settings import Pop3Settings
from tests.fakes.memory import MemoryStore
from tests.fakes.memory.messages import MemoryMessages
from tests.fakes.pop3 import ADDRESS, PASSWORD, account_with, add_message, inbox, inbox_of

BOUND = 30.0


class Client:
    """One POP3 client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), BOUND)

    async def ask(self, command: bytes) -> bytes:
        """The first line of the answer."""
        self.writer.write(command + b"\r\n")
        return await self.line()

    async def log_in(self) -> bytes:
        await self.ask(b"USER " + ADDRESS.encode())
        return await self.ask(b"PASS " + PASSWORD)

    async def multi_line(self) -> bytes:
        """The rest of a multi-line answer, as it is on the wire."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n.\r\n"), BOUND)

    async def start_tls(self, trust: Path) -> None:
        await self.writer.start_tls(ssl.create_default_context(cafile=trust), server_hostname="localhost")


class Opened:
    """A door that is open, its store and the account in it."""

    def __init__(self, door: Door, store: MemoryStore, account_id: int, stopping: asyncio.Event) -> None:
        self.door = door
        self.store = store
        self.account_id = account_id
        self.stopping = stopping

    @asynccontextmanager
    async def client(self, trust: Path | None = None) -> AsyncIterator[Client]:
        """A client behind the greeting; with trust, on the TLS port."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.door.secure.port if trust else self.door.plain.port,
            ssl=ssl.create_default_context(cafile=trust) if trust else None,
            server_hostname="localhost" if trust else None,
            limit=2**26,
        )
        client = Client(reader, writer)
        try:
            assert (await client.line()).startswith(b"+OK ")
            yield client
        finally:
            writer.transport.abort()


@dataclass
class Watch:
    """How many fetches there were, and whether reads break off."""

    fetches: int = 0
    breaks_off: bool = False


@dataclass(frozen=True)
class WatchedMessages(MemoryMessages):
    """Counts fetches; reads break off where a test says so."""

    watch: Watch = field(default_factory=Watch)

    def fetch(self, mailbox: MailboxKey, uids: Runs, items: Items) -> AsyncIterator[Page]:
        self.watch.fetches += 1
        return super().fetch(mailbox, uids, items)

    async def read(self, mailbox: MailboxKey, uid: int, start: int, end: int) -> AsyncIterator[bytes]:
        async for chunk in super().read(mailbox, uid, start, end):
            yield chunk[:100_000]
            if self.watch.breaks_off:
                raise StoreUnavailable


@asynccontextmanager
async def watched(tls: TlsContext) -> AsyncIterator[tuple[Opened, WatchedMessages]]:
    """The same, with messages that are watched."""
    memory = MemoryStore()
    messages = WatchedMessages(memory.state)
    parts = {field.name: getattr(memory, field.name) for field in fields(Store)}
    store = Store(**(parts | {"messages": messages}))
    account_id = await account_with(memory, ADDRESS, PASSWORD)
    async with Door(Pop3Settings(port=0, tls_port=0), store, tls, asyncio.Event()) as door:
        yield Opened(door, memory, account_id, asyncio.Event()), messages


@pytest.fixture
async def opened(tls: TlsContext) -> AsyncIterator[Opened]:
    """A door with an account that has no mail yet."""
    store = MemoryStore()
    account_id = await account_with(store, ADDRESS, PASSWORD)
    stopping = asyncio.Event()
    async with Door(Pop3Settings(port=0, tls_port=0), store, tls, stopping) as door:
        yield Opened(door, store, account_id, stopping)


async def ended(reader: asyncio.StreamReader) -> None:
    """Waits for the server's end, a reset included."""
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), BOUND) == b""


async def test_start_tls_forgets_the_login_that_was_begun(opened: Opened, certificate: Path) -> None:
    """RFC 2595 §4."""
    async with opened.client() as client:
        await client.ask(b"USER " + ADDRESS.encode())
        assert (await client.ask(b"STLS")).startswith(b"+OK")
        await client.start_tls(certificate)
        assert (await client.ask(b"PASS " + PASSWORD)).startswith(b"-ERR")
        assert (await client.ask(b"CAPA")).startswith(b"+OK")
        assert b"STLS" not in await client.multi_line()
        assert (await client.log_in()).startswith(b"+OK")


async def test_start_tls_comes_before_utf8(opened: Opened) -> None:
    """RFC 6856 §2.1."""
    async with opened.client() as client:
        assert (await client.ask(b"UTF8")).startswith(b"+OK")
        assert (await client.ask(b"STLS")).startswith(b"-ERR")
        assert (await client.log_in()).startswith(b"+OK")


@pytest.mark.parametrize("asked", [b"", b"USER alice@example.org\r\nPASS a secret\r\nDELE 1\r\n"])
async def test_whoever_is_silent_for_too_long_is_left_without_a_word(tls: TlsContext, asked: bytes) -> None:
    """RFC 1939 §3: the autologout timer; no reply is sent, and nothing is removed."""
    store = MemoryStore()
    account_id = await account_with(store, ADDRESS, PASSWORD)
    await add_message(store, account_id, b"Subject: x\r\n\r\n")
    # The settings refuse so little, and a test cannot wait.
    settings = Pop3Settings(port=0, tls_port=0).model_copy(update={"idle_seconds": 0.0})
    async with Door(settings, store, tls, asyncio.Event()) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.plain.port)
        assert (await asyncio.wait_for(reader.readline(), BOUND)).startswith(b"+OK ")
        writer.write(asked)
        for _ in asked.splitlines():
            assert (await asyncio.wait_for(reader.readline(), BOUND)).startswith(b"+OK ")
        await ended(reader)
        writer.close()
    assert len((await inbox_of(store, account_id)).uids) == 1


async def test_the_tls_port_speaks_tls_from_the_first_octet(opened: Opened, certificate: Path) -> None:
    """RFC 8314 §3.2."""
    async with opened.client(certificate) as client:
        assert (await client.log_in()).startswith(b"+OK 0 messages")
        assert (await client.ask(b"STLS")).startswith(b"-ERR")


async def test_a_broken_connection_deletes_nothing_and_frees_the_maildrop(opened: Opened) -> None:
    """RFC 1939 §6."""
    await add_message(opened.store, opened.account_id, b"Subject: x\r\n\r\n")
    async with opened.client() as client:
        await client.log_in()
        assert (await client.ask(b"DELE 1")).startswith(b"+OK")
    while opened.door.plain.connections:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert len((await inbox_of(opened.store, opened.account_id)).uids) == 1
    async with opened.client() as client:
        assert (await client.log_in()).startswith(b"+OK 1 messages")


async def test_a_second_session_is_refused_until_the_first_has_quit(opened: Opened) -> None:
    """RFC 1939 §4."""
    async with opened.client() as first, opened.client() as second:
        assert (await first.log_in()).startswith(b"+OK")
        assert (await second.log_in()).startswith(b"-ERR [IN-USE] ")
        assert (await first.ask(b"QUIT")).startswith(b"+OK")
        assert (await second.log_in()).startswith(b"+OK")


async def test_an_operator_ends_a_session_and_nothing_is_deleted(opened: Opened) -> None:
    """RFC 1939 §6."""
    await add_message(opened.store, opened.account_id, b"Subject: x\r\n\r\n")
    async with opened.client() as client:
        await client.log_in()
        await client.ask(b"DELE 1")
        await opened.door.presence.beat()
        (session,) = await opened.store.sessions.list(opened.account_id)
        assert (session.door, session.peer, session.mailbox_id) == ("pop3", "127.0.0.1", 1)
        assert await opened.store.sessions.end(session.session_id)
        await opened.door.presence.beat()
        assert (await client.reader.readline()).startswith(b"-ERR [SYS/TEMP] ")
        await ended(client.reader)
    assert len((await inbox_of(opened.store, opened.account_id)).uids) == 1


async def test_quit_with_a_lost_lock_removes_nothing_and_says_so(tls: TlsContext) -> None:
    """RFC 1939 §6: the update phase names the lock."""
    now = [1_000_000.0]
    store = MemoryStore(clock=lambda: now[0])
    account_id = await account_with(store, ADDRESS, PASSWORD)
    await add_message(store, account_id, b"Subject: x\r\n\r\n")
    async with Door(Pop3Settings(port=0, tls_port=0), store, tls, asyncio.Event()) as door:
        opened = Opened(door, store, account_id, asyncio.Event())
        async with opened.client() as client:
            await client.log_in()
            await client.ask(b"DELE 1")
            now[0] += LEASE_SECONDS + 1
            other = await store.sessions.lock_maildrop(account_id)
            assert (await client.ask(b"QUIT")).startswith(b"-ERR [SYS/TEMP] ")
            assert await client.reader.read() == b""
        assert len((await inbox_of(store, account_id)).uids) == 1
        await store.sessions.renew_maildrop(other)


async def test_a_lost_lock_ends_the_session(tls: TlsContext) -> None:
    """Renewal finds that somebody else holds it."""
    now = [1_000_000.0]
    store = MemoryStore(clock=lambda: now[0])
    account_id = await account_with(store, ADDRESS, PASSWORD)
    async with Door(Pop3Settings(port=0, tls_port=0), store, tls, asyncio.Event()) as door:
        opened = Opened(door, store, account_id, asyncio.Event())
        async with opened.client() as client:
            await client.log_in()
            now[0] += LEASE_SECONDS - 1
            await door.locks.renew_all()
            now[0] += LEASE_SECONDS - 1
            with pytest.raises(MailboxInUse):
                await store.sessions.lock_maildrop(account_id)
            now[0] += 2
            await store.sessions.lock_maildrop(account_id)
            await door.locks.renew_all()
            assert (await client.reader.readline()).startswith(b"-ERR [SYS/TEMP] The maildrop lock was lost")
            await ended(client.reader)


async def test_stopping_answers_the_running_command_and_removes_nothing(opened: Opened) -> None:
    """A session that the server ends has no update phase. RFC 1939 §6."""
    await add_message(opened.store, opened.account_id, b"Subject: x\r\n\r\n")
    async with opened.client() as client:
        await client.log_in()
        await client.ask(b"DELE 1")
        opened.stopping.set()
        await opened.door.stop(grace=10.0)
        assert (await client.line()).startswith(b"-ERR [SYS/TEMP] ")
        assert await client.reader.read() == b""
    assert len((await inbox_of(opened.store, opened.account_id)).uids) == 1


async def test_a_large_message_comes_whole_and_in_chunks(opened: Opened) -> None:
    """It is streamed, not held; its dots are doubled over every cut."""
    body = b"Subject: large\r\n\r\n" + b".dots\r\n" * 500_000
    await add_message(opened.store, opened.account_id, body)
    async with opened.client() as client:
        await client.log_in()
        assert (await client.ask(b"RETR 1")).startswith(b"+OK")
        received = await client.multi_line()
        assert received == body.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        assert (await client.ask(b"TOP 1 2147483647")).startswith(b"+OK")
        assert await client.multi_line() == received
        assert (await client.ask(b"TOP 1 1")).startswith(b"+OK")
        assert await client.multi_line() == b"Subject: large\r\n\r\n..dots\r\n.\r\n"


@pytest.mark.parametrize("removes", [False, True], ids=["kept", "each removed"])
async def test_pipelined_messages_are_fetched_a_page_at_a_time(tls: TlsContext, removes: bool) -> None:
    """Cost counted: 1,000 messages of 4 KB in at most 16 requests to the store, also with DELE behind each RETR."""
    bodies = [b"Subject: %04d\r\n\r\n" % number + b"x" * 4000 + b"\r\n" for number in range(1000)]
    async with watched(tls) as (opened, messages):
        for body in bodies:
            await add_message(opened.store, opened.account_id, body)
        async with opened.client() as client:
            await client.log_in()
            before = messages.watch.fetches
            asked = b"RETR %(n)d\r\nDELE %(n)d\r\n" if removes else b"RETR %(n)d\r\n"
            client.writer.write(b"".join(asked % {b"n": number} for number in range(1, 1001)))
            for body in bodies:
                assert await client.line() == b"+OK %d octets\r\n" % len(body)
                assert await client.multi_line() == body + b".\r\n"
                if removes:
                    assert (await client.line()).startswith(b"+OK")
        assert messages.watch.fetches - before <= 16


async def test_a_password_in_plain_text_is_refused_to_other_machines(opened: Opened) -> None:
    """attacks: passwords only under TLS, loopback apart."""
    opened.door.plain._handler = pretend_remote(opened)
    async with opened.client() as client:
        assert (await client.ask(b"CAPA")).startswith(b"+OK")
        assert b"USER" not in await client.multi_line()
        assert (await client.ask(b"USER " + ADDRESS.encode())).startswith(b"-ERR")
        assert (await client.ask(b"PASS " + PASSWORD)).startswith(b"-ERR")


def pretend_remote(opened: Opened) -> Handler:
    """The door's handler, for a peer of another machine."""

    async def serve(connection: Connection) -> None:
        connection.peer = ("192.0.2.1", 1)
        await opened.door.serve(connection)

    return serve


async def test_a_store_that_fails_in_the_middle_of_a_message_breaks_the_connection(tls: TlsContext) -> None:
    """Half a message with a dot behind it would be taken for the whole."""
    async with watched(tls) as (opened, messages):
        await add_message(opened.store, opened.account_id, b"Subject: x\r\n\r\n" + b"x" * 400_000)
        async with opened.client() as client:
            await client.log_in()
            messages.watch.breaks_off = True
            client.writer.write(b"RETR 1\r\n")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await client.multi_line()


async def test_unique_ids_of_elsewhere_are_told_for_the_messages_that_came_with_them(opened: Opened) -> None:
    """RFC 1939 §7."""
    key = (await inbox(opened.store, opened.account_id)).key

    async def letters() -> AsyncIterator[Incoming]:
        for uid, unique_id in ((4, "first~"), (9, ""), (17, "third~")):
            yield Incoming(uuid4(), b"A: b\r\n\r\n", 8, uid=uid, unique_id=unique_id)

    await opened.store.imports.add(key, letters())
    validity = (await inbox(opened.store, opened.account_id)).uid_validity
    async with opened.client() as client:
        await client.log_in()
        assert (await client.ask(b"UIDL 3")).rstrip() == b"+OK 3 third~"
        assert (await client.ask(b"UIDL 2")).rstrip() == b"+OK 2 %d.9" % validity
        await client.ask(b"DELE 1")
        await client.ask(b"UIDL")
        assert (await client.multi_line()).split(b"\r\n")[:2] == [b"2 %d.9" % validity, b"3 third~"]


async def test_unique_ids_stay_when_other_messages_go(opened: Opened) -> None:
    """RFC 1939 §7."""
    for number in range(3):
        await add_message(opened.store, opened.account_id, b"Subject: %d\r\n\r\n" % number)
    async with opened.client() as client:
        await client.log_in()
        before = (await client.ask(b"UIDL 3")).split()[2]
        await client.ask(b"DELE 1")
        await client.ask(b"QUIT")
    async with opened.client() as client:
        await client.log_in()
        assert (await client.ask(b"UIDL 2")).split()[2] == before
    validity = (await inbox(opened.store, opened.account_id)).uid_validity
    assert before == b"%d.3" % validity
