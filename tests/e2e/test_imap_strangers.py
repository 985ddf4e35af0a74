"""attacks.md 24 and 25: many clients of one door. Each has room of its own, and sees what is its own.

The rule: every octet that a client hears is looked at; the secret of another account in it is the failure.
"""

import asyncio
import random
import re

import pytest

from tests.e2e.raw import Raw, connected
from tests.e2e.system import System, await_that
from tests.faults.cluster import door

PASSWORD = "correct horse"
ACCOUNTS = 4
CLIENTS = 6
ROUNDS = 25
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_SECRET = re.compile(rb"secret-\d\d")


def login(account: int) -> str:
    return f"stranger-{account:02d}@strangers.test"


def secret(account: int) -> bytes:
    return b"secret-%02d" % account


@pytest.fixture(scope="module")
def port(system: System) -> int:
    """The door; each account has its secret as folder, keyword, subject and text."""
    system.add_account(login(0), PASSWORD)  # and its domain
    for account in range(ACCOUNTS):
        system.run("account", "add", login(account), "--password-stdin", stdin=PASSWORD.encode())
        with connected(system.imap_port) as client:
            client.log_in(login(account), PASSWORD)
            client.ask(b"CREATE " + secret(account))
            client.ask(b"SUBSCRIBE " + secret(account))
            for mailbox in (b"INBOX", secret(account)):
                for size in (10, 1000, 100_000):
                    client.append(mailbox, letter(account, size))
    return system.imap_port


def letter(account: int, size: int) -> bytes:
    word = secret(account)
    return b"From: %b <%b@example.org>\r\nSubject: %b\r\n\r\n%b\r\n" % (
        word,
        word,
        word,
        b"%b " % word * (size // 10),
    )


def commands(account: int, other: int, plan: random.Random) -> list[bytes]:
    """A few commands to be sent in one piece; some ask for what is somebody else's."""
    mine, theirs = secret(account), secret(other)
    small = letter(account, 100)
    usual = [
        *(b"SELECT INBOX", b"SELECT " + mine, b"EXAMINE INBOX", b'LIST "" *', b'LSUB "" *', b"NOOP"),
        *(
            b"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)",
            b"FETCH 1:* (FLAGS UID)",
            b"UID FETCH 1:* (BODY.PEEK[])",
        ),
        *(b"FETCH 1:3 (ENVELOPE BODYSTRUCTURE)", b"FETCH * BODY.PEEK[TEXT]<5.5000>", b"SEARCH ALL"),
        *(
            b"STORE 1 +FLAGS (%b)" % mine,
            b"SEARCH KEYWORD " + mine,
            b"COPY 1 " + mine,
            b"UID SEARCH UID 1:99",
        ),
        *(b"APPEND INBOX (%b) {%d+}\r\n%b" % (mine, len(small), small), b"IDLE\r\nDONE"),
    ]
    foreign = [
        *(b"SELECT " + theirs, b"STATUS %b (MESSAGES)" % theirs, b"COPY 1 " + theirs, b'LIST "" secret*'),
        *(b"SELECT ../" + theirs, b"SELECT user/%b/INBOX" % login(other).encode(), b'LIST "../" *'),
        *(b"APPEND %b {2+}\r\nx\n" % theirs, b"SUBSCRIBE " + mine, b"DELETE " + theirs, b"SEARCH KEYWORD " + theirs),
    ]  # fmt: skip
    return plan.choices(usual, k=plan.randint(1, 6)) + plan.choices(foreign, k=plan.randint(0, 2))


async def hear(reader: asyncio.StreamReader, tag: bytes) -> bytes:
    """Everything up to the answer with this tag, or to the end."""
    heard = bytearray()
    while line := await reader.readline():
        heard += line
        if mark := _LITERAL.search(line):
            heard += await reader.readexactly(int(mark[1]))
        elif line.startswith(tag + b" "):
            break
    return bytes(heard)


async def log_in(port: int, account: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of this account."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(b'in LOGIN %b "%b"\r\n' % (login(account).encode(), PASSWORD.encode()))
    assert b"in OK" in await hear(reader, b"in")
    return reader, writer


async def snoop(port: int, account: int, seed: int) -> int:
    """One client for ROUNDS, on as many connections as it feels like; how often it has read its own secret."""
    plan = random.Random(seed)
    reader, writer = await log_in(port, account)
    found = 0
    for _ in range(ROUNDS):
        other = plan.choice([each for each in range(ACCOUNTS) if each != account])
        lines = commands(account, other, plan)
        writer.write(b"".join(b"c%d %b\r\n" % (number, line) for number, line in enumerate(lines)))
        if plan.random() < 0.1:  # leaves while its answers are on the way
            await asyncio.sleep(plan.random() * 0.02)
            writer.transport.abort()
            reader, writer = await log_in(port, account)
            continue
        heard = await hear(reader, b"c%d" % (len(lines) - 1))
        assert b"SERVERBUG" not in heard
        assert set(_SECRET.findall(heard)) <= {secret(account)}, (seed, lines)
        found += heard.count(secret(account))
    writer.close()
    return found


@pytest.mark.timeout(240)
async def test_nobody_hears_what_is_somebody_elses(port: int) -> None:
    """attacks 25: pooled connections, one stream to the store, clients that leave in the middle of an answer."""
    first = random.randrange(2**32)
    clients = [(number % ACCOUNTS, first + number) for number in range(ACCOUNTS * CLIENTS)]
    found = await asyncio.gather(*(snoop(port, account, seed) for account, seed in clients))
    assert all(found), first


def idle(client: Raw) -> None:
    """Waits in IDLE, as a phone does."""
    client.send(b"i IDLE\r\n")
    assert client.line().startswith(b"+ ")


def test_a_hoard_is_bounded_by_account_and_in_total(system: System, port: int) -> None:
    """attacks 24: who hoards is refused, others are not, and what was given back can be had again."""
    with door(system, "imap", system.grpc_target, ACCOUNT_CONNECTIONS="2", CONNECTIONS="4") as ports:
        hoard = [Raw(ports["port"]) for _ in range(3)]
        for client in hoard[:2]:
            client.log_in(login(0), PASSWORD)
            idle(client)
        answer = hoard[2].last(b'LOGIN %b "%b"' % (login(0).encode(), PASSWORD.encode()))
        assert answer == b"NO [LIMIT] Too many sessions of this account"
        with connected(ports["port"]) as other:
            other.log_in(login(1), PASSWORD)
            assert other.last(b"SELECT INBOX").startswith(b"OK")
            with connected(ports["port"]) as refused:
                assert refused.greeting == b"* BYE [UNAVAILABLE] Too many connections"
                assert refused.line() == b""
        while len(hoard) > 1:
            hoard.pop().close()
        await_that(lambda: has_room(ports["port"]), "what was given back cannot be had again")
        hoard.pop().close()


def has_room(port: int) -> bool:
    """Whether the first account may log in once more."""
    with connected(port) as client:
        if client.greeting.startswith(b"* BYE"):
            return False
        return client.last(b'LOGIN %b "%b"' % (login(0).encode(), PASSWORD.encode())).startswith(b"OK")
