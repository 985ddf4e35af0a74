"""The door over real sockets: TLS, large letters, early talkers and the way it stops."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.mail.store.deliveries import MOST_ADDRESSEES
from services.mail.store.mailboxes import INBOX, MailboxKey, MailboxStatus
from services.plumbing.net.tls import TlsContext
from services.smtp.door import Door
from services.smtp.letter import hops
from services.smtp.settings import Settings
from tests.fakes.memory import MemoryStore

LETTER_OCTETS = 3 * 1024 * 1024


class Client:
    """A client that sends a line and takes the last line of the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> str:
        while True:
            line = (await self.reader.readline()).decode()
            if line[3:4] != "-":
                return line.rstrip()

    async def ask(self, *lines: str) -> str:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        for _ in lines[1:]:
            await self.answer()
        return await self.answer()

    async def begin_letter(self) -> str:
        await self.answer()
        await self.ask("EHLO client.example")
        return await self.ask("MAIL FROM:<bob@example.net>", "RCPT TO:<alice@example.com>", "DATA")


@asynccontextmanager
async def opened(
    tls: TlsContext | None = None, **values: Any
) -> AsyncIterator[tuple[Door, MemoryStore, Client]]:
    store = MemoryStore()
    await store.accounts.add_domain("example.com")
    await store.accounts.add_account("alice@example.com", b"secret")
    door = Door(store, Settings(port=0, lmtp_port=0, hostname="mx.example.com", **values), tls)
    await door.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        async with asyncio.timeout(30):
            yield door, store, Client(reader, writer)
    finally:
        writer.close()
        await door.stop(grace=5.0)


async def status(store: MemoryStore) -> tuple[MailboxKey, MailboxStatus]:
    (recipient,) = await store.accounts.resolve("alice@example.com")
    key = MailboxKey(recipient.account_id, recipient.mailbox_id)
    return key, (await store.mailboxes.status(recipient.account_id, INBOX))[1]


async def test_a_large_letter_is_streamed_and_comes_back_as_it_was() -> None:
    """Exact octets, NUL and all; RFC 5321 §4.5.3.1.7."""
    body = b"Subject: large\r\n\r\n" + (b".\0" + b"\xff" * 997 + b"\r\n") * (LETTER_OCTETS // 1001)
    async with opened() as (_, store, client):
        assert (await client.begin_letter()).startswith("354")
        client.writer.write(body.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert (await client.answer()).startswith("250 2.0.0")
        key, _ = await status(store)
        kept = b"".join([part async for part in store.messages.read(key, 1, 0, 2**31)])
        assert kept.endswith(body)
        assert kept.removesuffix(body).count(b"\r\n") == 5


@pytest.mark.parametrize("ending", ["a bare newline", "too large", "cut off"])
async def test_a_large_letter_that_goes_wrong_leaves_nothing(ending: str) -> None:
    """attacks: smuggling, a SIZE liar; a connection that breaks in the middle of a body."""
    async with opened(message_octets=1024 * 1024) as (door, store, client):
        await client.begin_letter()
        client.writer.write(b"x" * 600_000 + b"\r\n")
        if ending == "cut off":
            client.writer.close()
            await client.writer.wait_closed()
            await door.stop(grace=5.0)
        else:
            rest = b"\n" if ending == "a bare newline" else b"x" * 600_000
            client.writer.write(rest + b"\r\n.\r\n")
            code = "550 5.6.0" if ending == "a bare newline" else "552 5.3.4"
            assert (await client.answer()).startswith(code)
            assert (await client.ask("NOOP")).startswith("250")
        assert (await status(store))[1].messages == 0


async def test_a_letter_that_is_coming_in_may_end_when_the_door_stops() -> None:
    """RFC 5321 §3.8: then 421, and the connection closes."""
    async with opened() as (door, store, client):
        await client.begin_letter()
        stopping = asyncio.create_task(door.stop(grace=20.0))
        await asyncio.sleep(0)
        client.writer.write(b"hello\r\n.\r\n")
        assert (await client.answer()).startswith("250")
        assert (await client.answer()).startswith("421 4.3.2")
        assert await client.reader.read() == b""
        await stopping
        assert (await status(store))[1].messages == 1


async def test_a_letter_whose_chunks_are_coming_in_may_end_when_the_door_stops() -> None:
    """RFC 5321 §3.8, RFC 3030 §2: also where the door stops between two of them."""
    async with opened() as (door, store, client):
        await client.answer()
        await client.ask("EHLO client.example")
        await client.ask("MAIL FROM:<bob@example.net>", "RCPT TO:<alice@example.com>")
        client.writer.write(b"BDAT 3\r\nabc")
        assert (await client.answer()).startswith("250")
        stopping = asyncio.create_task(door.stop(grace=20.0))
        await asyncio.sleep(0)
        client.writer.write(b"BDAT 3 LAST\r\ndef")
        assert (await client.answer()).startswith("250")
        assert (await client.answer()).startswith("421 4.3.2")
        await stopping
        assert (await status(store))[1].messages == 1


async def test_who_is_idle_when_the_door_stops_is_told() -> None:
    """RFC 5321 §3.8."""
    async with opened() as (door, _, client):
        await client.answer()
        await door.stop(grace=20.0)
        assert (await client.answer()).startswith("421 4.3.2")


async def test_who_speaks_before_the_greeting_is_sent_away() -> None:
    """attacks: early talkers. RFC 5321 §4.3.1."""
    async with opened(greet_seconds=0.2) as (_, _, client):
        assert (await client.ask("EHLO client.example")).startswith("554 5.5.0")
        assert await client.reader.read() == b""


async def test_a_mail_loop_is_refused() -> None:
    """RFC 5321 §6.3."""
    async with opened() as (_, store, client):
        await client.begin_letter()
        client.writer.write(b"received: from x\r\n" * 101 + b"\r\n.\r\n")
        assert (await client.answer()).startswith("554 5.4.6")
        assert (await status(store))[1].messages == 0
    assert hops(b"Received: x\r\nX: Received: y\r\nRECEIVED: z\r\n\r\nReceived: body\r\n") == 2


async def test_a_client_that_stays_silent_is_told_so() -> None:
    """RFC 5321 §4.5.3.2.7."""
    async with opened(idle_seconds=1) as (_, _, client):
        await client.answer()
        assert (await client.answer()).startswith("421 4.4.2")


async def drip(client: Client, octets: bytes, seconds: float) -> None:
    """A letter that never pauses for long and never ends."""
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while clock() < until:
        client.writer.write(octets)
        await asyncio.sleep(0.1)


async def test_a_letter_that_drips_is_given_up() -> None:
    """attacks 7: behind its first five minutes (here a second), it comes no slower than the floor."""
    async with opened(idle_seconds=1, data_octets_per_second=1000) as (_, store, client):
        assert (await client.begin_letter()).startswith("354")
        dripping = asyncio.create_task(drip(client, b"x\r\n", 20))
        clock = asyncio.get_running_loop().time
        started = clock()
        assert (await client.answer()).startswith("421 4.4.2")
        assert 0.9 < clock() - started < 10
        dripping.cancel()
        assert (await status(store))[1].messages == 0


async def test_chunks_that_drip_are_given_up() -> None:
    """attacks 7: each chunk is no new start."""
    async with opened(idle_seconds=1, data_octets_per_second=1000) as (_, store, client):
        await client.answer()
        await client.ask("EHLO client.example")
        await client.ask("MAIL FROM:<bob@example.net>")
        await client.ask("RCPT TO:<alice@example.com>")
        dripping = asyncio.create_task(drip(client, b"BDAT 3\r\nx\r\n", 20))
        while not (answer := await client.answer()).startswith("421 4.4.2"):
            assert answer.startswith("250")
        dripping.cancel()
        assert (await status(store))[1].messages == 0


async def test_a_letter_above_the_floor_may_take_its_time() -> None:
    """attacks 7: a slow line is no attack."""
    async with opened(idle_seconds=1, data_octets_per_second=1000) as (_, store, client):
        await client.begin_letter()
        await drip(client, b"x" * 300 + b"\r\n", 4)
        client.writer.write(b".\r\n")
        assert (await client.answer()).startswith("250")
        assert (await status(store))[1].messages == 1


async def test_starttls_drops_what_was_injected_and_the_letter_says_so(door_tls: TlsContext) -> None:
    """RFC 3207 §4.2, RFC 3848, CVE-2011-0411."""
    async with opened(door_tls) as (_, store, client):
        await client.answer()
        await client.ask("EHLO client.example")
        client.writer.write(b"STARTTLS\r\nRCPT TO:<evil@example.com>\r\n")
        assert (await client.answer()).startswith("220")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await client.writer.start_tls(context)
        assert (await client.ask("MAIL FROM:<>")).startswith("503")
        await client.ask("EHLO client.example")
        await client.ask("MAIL FROM:<b@example.net>", "RCPT TO:<alice@example.com>", "DATA")
        assert (await client.ask("hi\r\n.")).startswith("250")
        key, _ = await status(store)
        kept = b"".join([part async for part in store.messages.read(key, 1, 0, 2**31)])
        assert b" with ESMTPS id " in kept


async def test_a_letter_has_no_more_copies_than_one_delivery_makes() -> None:
    """RFC 5321 §4.5.3.1.8: the recipient that is too much is refused for now, and the others get their letter."""
    async with opened() as (_, store, client):
        for number in range(MOST_ADDRESSEES):
            await store.accounts.add_account(f"a{number}@example.com", b"secret")
        half = MOST_ADDRESSEES // 2
        for name, first in (("low", 0), ("high", half)):
            addresses = [f"a{number}@example.com" for number in range(first, first + half)]
            await store.aliases.add(f"{name}@example.com", addresses)
        assert (await client.begin_letter()).startswith("354")
        assert (await client.ask("Subject: one\r\n.")).startswith("250 2.0.0")
        await client.ask("MAIL FROM:<>", "RCPT TO:<low@example.com>", "RCPT TO:<alice@example.com>")
        assert (await client.ask("RCPT TO:<high@example.com>")).startswith("452 4.5.3")
        assert (await client.ask("DATA")).startswith("354")
        assert (await client.ask("Subject: two\r\n.")).startswith("250 2.0.0")
        for address, messages in (("alice", 2), ("a0", 1), (f"a{half - 1}", 1), (f"a{half}", 0)):
            account = await store.accounts.find_account(f"{address}@example.com")
            assert (await store.accounts.usage(account.account_id)).messages == messages
