"""What a client may cost: lines, literals, sessions; and when a password may travel. The store is in memory."""

import asyncio
import dataclasses

from services.imap.settings import Settings
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, expect
from tests.unit.imap.sessions import door_serves


async def test_passwords_wait_for_tls_from_elsewhere(store: MemoryStore) -> None:
    """RFC 9051 §6.2.3, LOGINDISABLED."""
    connection = MemoryConnection()
    connection.peer = ("192.0.2.1", 40000)
    connection.has_tls = True
    async with dialogues.door(store) as door:
        serving = asyncio.create_task(door_serves(door, connection))
        await expect(
            connection, "* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID STARTTLS LOGINDISABLED] ..."
        )
        connection.send(b'a LOGIN alice@example.org "%b"\r\n' % dialogues.PASSWORD)
        await expect(connection, "a NO [PRIVACYREQUIRED] ...")
        connection.send(b"b AUTHENTICATE PLAIN\r\n")
        await expect(connection, "b NO [PRIVACYREQUIRED] ...")
        connection.send(b"")
        await serving


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
        await expect(
            connection,
            "* CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+ ID SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN",
        )
        await expect(connection, "d OK ...")
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


async def test_a_thousand_sessions_of_one_account_are_no_hoard(store: MemoryStore) -> None:
    """What measures a server opens them all from one place, and never asks for more room first."""
    connections = [MemoryConnection() for _ in range(1000)]
    async with dialogues.door(store) as door:
        serving = [asyncio.create_task(door_serves(door, connection)) for connection in connections]
        for connection in connections:
            await expect(connection, "* OK ...")
            connection.send(b'a LOGIN alice@example.org "%b"\r\n' % dialogues.PASSWORD)
        for connection in connections:
            await expect(connection, "a OK ...")
            connection.send(b"")
        await asyncio.gather(*serving)


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
        await expect(client, "* BYE [TOOBIG] Literal too large")
