"""A letter of 50 MB through every door: the same octets come out, and nobody holds them all at once."""

import asyncio
import imaplib
import poplib
import random
import smtplib
from contextlib import AbstractContextManager

import pytest

from tests.e2e import memory
from tests.e2e.system import System
from tests.faults.cluster import PASSWORD, read_back
from tests.faults.generator import Generator

SIZE = 50 * 1024 * 1024
MOST_GROWTH = 16 * 1024 * 1024
PRINTABLE = bytes(33 + octet % 94 for octet in range(256))
PROCESSES = ("smtp", "imap", "pop3", "storage", "storage-2")


@pytest.fixture(scope="module")
def large() -> bytes:
    """Lines of every length that SMTP takes, among them such that begin with dots."""
    plan = random.Random(50)
    lines = [plan.randbytes(plan.randint(0, 998)).translate(PRINTABLE) for _ in range(SIZE // 499)]
    lines[::7] = [b"." + line[1:] for line in lines[::7]]
    body = b"\r\n".join(lines)[: SIZE - 100]
    return b"From: a@faults.test\r\nSubject: large\r\n\r\n" + body + b"\r\n.\r\nend\r\n"


def flat(system: System) -> AbstractContextManager[None]:
    """Meanwhile no process grows by MOST_GROWTH."""
    return memory.flat({name: system.pid(name) for name in PROCESSES}, MOST_GROWTH)


def send(system: System, account: str, letter: bytes) -> None:
    """By SMTP."""
    with smtplib.SMTP("127.0.0.1", system.smtp_port, timeout=60) as smtp:
        smtp.sendmail("a@faults.test", [account], letter)


def fetch(system: System, account: str, uid: int) -> bytes:
    """By IMAP."""
    imap = imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=60)
    imap.login(account, PASSWORD)
    imap.select("INBOX")
    _, found = imap.uid("FETCH", str(uid), "BODY.PEEK[]")
    imap.logout()
    assert isinstance(found[0], tuple)
    octets: bytes = found[0][1]
    return octets


def append(system: System, account: str, letter: bytes) -> None:
    """By IMAP."""
    imap = imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=60)
    imap.login(account, PASSWORD)
    assert imap.append("INBOX", "", "", letter)[0] == "OK"
    imap.logout()


def retrieve(system: System, account: str, number: int) -> bytes:
    """By POP3."""
    pop3 = poplib.POP3("127.0.0.1", system.pop3_port, timeout=60)
    pop3.user(account)
    pop3.pass_(PASSWORD)
    _, lines, _ = pop3.retr(number)
    pop3.quit()
    return b"".join(line + b"\r\n" for line in lines)


def test_a_letter_of_fifty_megabytes_comes_back_as_it_was(
    cluster: System, account: str, large: bytes
) -> None:
    """Bodies stream in chunks both ways: architecture.md, "Streams and drain"."""
    # Whatever a process keeps from its first letter on is there before.
    send(cluster, account, b"Subject: small\r\n\r\nsmall\r\n")
    assert fetch(cluster, account, 1) == retrieve(cluster, account, 1)
    with flat(cluster):
        send(cluster, account, large)
    with flat(cluster):
        fetched = fetch(cluster, account, 2)
    with flat(cluster):
        retrieved = retrieve(cluster, account, 2)
    with flat(cluster):
        append(cluster, account, large)
    assert fetch(cluster, account, 3) == large
    head = fetched[: len(fetched) - len(large)]
    assert fetched.endswith(large)
    assert head.startswith(b"Return-Path: <a@faults.test>\r\n")
    assert b"\r\n\r\n" not in head
    assert retrieved == fetched


MESSAGES = 10_000
TEXT = 4000


async def burst(system: System, account: str, numbers: range, *, removes: bool) -> tuple[int, int]:
    """A session that asks for all of these at once and then reads; how many came whole, and their octets.

    removes: a DELE behind each RETR.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", system.pop3_port)
    asked = [b"USER %b\r\nPASS %b\r\n" % (account.encode(), PASSWORD.encode())]
    for number in numbers:
        asked.append(b"RETR %d\r\n" % number)
        if removes:
            asked.append(b"DELE %d\r\n" % number)
    writer.write(b"".join(asked) + b"QUIT\r\n")
    came = octets = 0
    async with asyncio.timeout(100):
        for _ in range(3):
            assert (await reader.readline()).startswith(b"+OK")
        for _ in numbers:
            told = await reader.readline()
            body = await reader.readuntil(b"\r\n.\r\n")
            assert told == b"+OK %d octets\r\n" % (len(body) - 3)
            came, octets = came + 1, octets + len(body) - 3
            if removes:
                assert (await reader.readline()).startswith(b"+OK")
        assert (await reader.readline()).startswith(b"+OK")
        assert await reader.read() == b""
    writer.close()
    return came, octets


async def test_ten_thousand_messages_asked_for_at_once_take_no_memory(cluster: System, account: str) -> None:
    """RFC 2449 §6.6: whoever pipelines 10,000 RETR and DELE in one burst is answered as its socket takes it."""
    await Generator(cluster.smtp_port, account, MESSAGES, octets=TEXT).run()
    # Whatever a process keeps from its first pages on is there before.
    await burst(cluster, account, range(1, 501), removes=False)
    with flat(cluster):
        came, octets = await burst(cluster, account, range(1, MESSAGES + 1), removes=True)
    assert came == MESSAGES
    assert octets > MESSAGES * TEXT
    assert await asyncio.to_thread(read_back, cluster, account) == []
