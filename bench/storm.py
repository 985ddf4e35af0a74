"""Everybody logs in at once after a restart, while somebody who is in already goes on.

The rule: each of the accounts logs in once, into a storage that remembers no password, and one that is refused ends the
measurement. The bystander asks twenty times a second at most, so that it takes no core for itself.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from bench import peers, wire
from bench.peers import READERS, Peer, reader

MARKS = "<!-- storm -->", "<!-- /storm -->"
CLIENTS = 2_000
ALONE_ASKS = 200
PAUSE = 0.05


async def watch(bystander: wire.Imap, until: asyncio.Event, most: int) -> list[float]:
    """Milliseconds of each STATUS until something happened, or so many were asked for."""
    taken: list[float] = []
    while not until.is_set() and len(taken) < most:
        began = time.monotonic()
        await bystander.ask("STATUS INBOX (MESSAGES UIDNEXT)")
        taken.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(PAUSE)
    return taken


async def blow(peer: Peer, clients: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds after which each client was in; the bystander's milliseconds before and meanwhile."""
    bystander = await wire.Imap.login(peer.imap, reader(0))
    await peers.quiet()
    is_over = asyncio.Event()
    alone = await watch(bystander, is_over, ALONE_ASKS)
    began = time.monotonic()

    async def come_in(number: int) -> float:
        connection = await wire.Imap.login(peer.imap, reader(number))
        seconds = time.monotonic() - began
        connection.drop()
        return seconds

    watching = asyncio.create_task(watch(bystander, is_over, 10**6))
    seconds = await asyncio.gather(*map(come_in, range(READERS, READERS + clients)))
    is_over.set()
    return sorted(seconds), alone, await watching


def measure(clients: int = CLIENTS) -> list[str]:
    """The table."""
    with tempfile.TemporaryDirectory(prefix="bench-storm-") as home:
        with peers.restante(Path(home)):
            asyncio.run(peers.add_more(Path(home), range(READERS, READERS + clients)))
        with peers.restante(Path(home)) as peer:
            seconds, alone, meanwhile = uvloop.run(blow(peer, clients))
    return [
        f"| {clients:,} logins at once after a restart | median | worst |",
        "|---|---|---|",
        f"| in after, s | {statistics.median(seconds):.1f} | {seconds[-1]:.1f} |",
        f"| STATUS of a session that is in, alone, ms | {statistics.median(alone):.1f} | {max(alone):.1f} |",
        f"| the same meanwhile, ms | {statistics.median(meanwhile):.1f} | {max(meanwhile):.1f} |",
    ]
