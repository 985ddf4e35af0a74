"""What is timed. The rule: a workload answers seconds and a digest of what it saw, and the digests must agree."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench import letters, wire
from bench.peers import Peer, reader

FOLDER = 10_000
SPOOL = 50  # the reader whose INBOX holds the folder of 10,000


@dataclass(frozen=True, slots=True)
class Workload:
    """run: answers seconds and a digest. budget: ours ÷ peer's, as a rate, from docs/performance.md."""

    name: str
    budget: float
    run: Callable[[Peer], Awaitable[tuple[float, str]]]


def delivering(sessions: int, each: int, size: int, budget: float) -> Workload:
    """`sessions` at once, a recipient each, `each` letters one after another; 250 after the commit."""
    batches = [[letters.letter(s * each + n, size) for n in range(each)] for s in range(sessions)]

    async def run(peer: Peer) -> tuple[float, str]:
        began = time.perf_counter()
        taken = await asyncio.gather(
            *(wire.deliver(peer.delivery, peer.greeting, reader(s), batch) for s, batch in enumerate(batches))
        )
        return time.perf_counter() - began, str(sum(taken))

    plural = "session" if sessions == 1 else "sessions"
    return Workload(f"deliver {size // 1000} KB, {sessions} {plural} × {each}", budget, run)


async def fill(peer: Peer) -> None:
    """Ten sessions fill the folder, then it is read once, so that every cache of either side is warm."""
    everything = [letters.letter(n) for n in range(FOLDER)]
    await asyncio.gather(
        *(wire.deliver(peer.delivery, peer.greeting, reader(SPOOL), everything[n::10]) for n in range(10))
    )


def fetching(name: str, items: str, budget: float, seen: Callable[[bytes], str]) -> Workload:
    """FETCH 1:* of the folder of 10,000. seen: what both sides must have answered alike."""

    async def run(peer: Peer) -> tuple[float, str]:
        connection = await wire.Imap.login(peer.imap, reader(SPOOL))
        await connection.ask("SELECT INBOX")
        began = time.perf_counter()
        answer = await connection.ask(f"FETCH 1:* ({items})")
        seconds = time.perf_counter() - began
        await connection.close()
        return seconds, seen(answer)

    return Workload(name, budget, run)


def searching(name: str, keys: str, budget: float) -> Workload:
    """SEARCH in the folder of 10,000. Numbers differ, since letters came in another order; how many were found, not."""

    async def run(peer: Peer) -> tuple[float, str]:
        connection = await wire.Imap.login(peer.imap, reader(SPOOL))
        await connection.ask("SELECT INBOX")
        began = time.perf_counter()
        answer = await connection.ask(f"SEARCH {keys}")
        seconds = time.perf_counter() - began
        await connection.close()
        found = re.search(rb"\* SEARCH([0-9 ]*)", answer)
        return seconds, str(len(found[1].split()) if found else None)

    return Workload(name, budget, run)


def popping(name: str, commands: Sequence[str], seen: Callable[[bytes], str], *, logs_in: bool) -> Workload:
    """Pipelined POP3 commands in the folder of 10,000. logs_in: the login, which numbers all of them, is timed too."""

    async def run(peer: Peer) -> tuple[float, str]:
        began = time.perf_counter()
        connection = await wire.Pop3.login(peer.pop3, reader(SPOOL))
        if not logs_in:
            began = time.perf_counter()
        answer = await connection.finish(*commands)
        return time.perf_counter() - began, seen(answer)

    return Workload(name, 1.0, run)


def envelopes(answer: bytes) -> str:
    """The subjects, sorted: the two sides number letters in the order in which they came."""
    subjects = sorted(re.findall(rb'ENVELOPE \("[^"]*" "([^"]*)"', answer))
    return f"{len(subjects)} {hashlib.sha256(b'|'.join(subjects)).hexdigest()[:12]}"


def bodies(answer: bytes) -> str:
    """The ends of all letters' first header lines, sorted."""
    found = sorted(re.findall(rb"\r\nMessage-ID: <(\d+)@", answer))
    return f"{len(found)} {hashlib.sha256(b'|'.join(found)).hexdigest()[:12]}"


def retrieved(answer: bytes) -> str:
    """How many letters came."""
    return str(len(re.findall(rb"\r\nMessage-ID: <", answer)))


def lines(answer: bytes) -> str:
    """How many there were."""
    return str(answer.count(b"\r\n"))


def rows(answer: bytes) -> str:
    """How many messages were told."""
    return str(answer.count(b"FETCH ("))


DELIVERIES = (
    delivering(1, 200, 4096, 1.2),
    delivering(10, 50, 4096, 2.0),
    delivering(50, 20, 4096, 4.0),
)
READINGS = (
    fetching("list 10,000: UID FLAGS", "UID FLAGS", 2.0, rows),
    fetching(
        "list 10,000: ENVELOPE BODYSTRUCTURE",
        "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE",
        1.8,
        envelopes,
    ),
    fetching("bodies of 10,000, 41 MB", "BODY.PEEK[]", 1.0, bodies),
    popping("POP3: login and UIDL of 10,000", ("UIDL",), lines, logs_in=True),
    popping("POP3: 1,000 RETR, 4 MB", [f"RETR {n}" for n in range(1, 1001)], retrieved, logs_in=False),
    popping(
        "POP3: 10,000 RETR, a DELE behind each, then RSET",
        [*(f"{verb} {n}" for n in range(1, FOLDER + 1) for verb in ("RETR", "DELE")), "RSET"],
        bodies,
        logs_in=False,
    ),
    searching("search 10,000: SUBJECT", "SUBJECT ledger", 1.0),
    searching("search 10,000: TEXT", "TEXT nowhere", 3.0),
)
