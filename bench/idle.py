"""What an idle connection costs in memory, beside Dovecot: plain and TLS.

The rule: (PSS of all processes of a side with all connections open, less that with none) divided by their number. A
connection does what a client does: logs in, selects a folder of 10,000, reads its flags, and idles.
"""

import asyncio
import ssl
import sys
import tempfile
from pathlib import Path

import uvloop

from bench import letters, memory, peers, wire
from bench.peers import Peer, quiet, reader

MARKS = "<!-- idle -->", "<!-- /idle -->"
FOLDER = 10_000
SEED = 1_000
CONNECTIONS = 1_000
# Connections of one account; each account has a folder of its own.
OF_AN_ACCOUNT = 50
AT_ONCE = 20
WARM_TURNS = 5
# Both sides let one address and one account have so many connections; Dovecot's processes serve many each.
OURS = {"RESTANTE_LOG_LEVEL": "warning"}
THEIRS = """
mail_max_userip_connections = 0
service imap {
  client_limit = 250
  service_count = 0
  process_min_avail = 2
}
service imap-login {
  client_limit = 2000
}
"""
# kB, from the budgets: plain and TLS.
BUDGETS = {"plain": 35.0, "TLS": 80.0}


async def fill(peer: Peer, accounts: int) -> None:
    """Every account has a folder of 10,000, nine tenths of it by COPY."""
    everything = [letters.letter(number, 1_500) for number in range(SEED)]
    for number in range(accounts):
        await wire.deliver(peer.delivery, peer.greeting, reader(number), everything)
        imap = await wire.Imap.login(peer.imap, reader(number))
        await imap.ask("SELECT INBOX")
        await imap.ask("CREATE Idle")
        for _ in range(FOLDER // SEED):
            await imap.ask(f"COPY 1:{SEED} Idle")
        await imap.close()
        print(f"\r\033[K{peer.name}: folders: {number + 1}", end="", flush=True, file=sys.stderr)


async def growth(peer: Peer, connections: int, tls: bool) -> float:
    """kB by connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port, security = (peer.imaps, context) if tls else (peer.imap, None)
    # What is there once for all (connections of the pool, what PostgreSQL keeps of a folder) is none of theirs.
    for _ in range(WARM_TURNS):
        for warm in await _open(port, security, range(0, connections, OF_AN_ACCOUNT)):
            warm.drop()
    await quiet(30.0)
    before = memory.share(memory.family(peer.pid))
    opened = await _open(port, security, range(connections))
    await quiet(30.0)
    after = memory.share(memory.family(peer.pid))
    for connection in opened:
        connection.drop()
    return (after - before) / 1024 / connections


async def _open(port: int, security: ssl.SSLContext | None, numbers: range) -> list[wire.Imap]:
    room = asyncio.Semaphore(AT_ONCE)

    async def open_one(number: int) -> wire.Imap:
        async with room:
            imap = await wire.Imap.login(port, reader(number // OF_AN_ACCOUNT), security)
            await imap.ask("SELECT Idle")
            await imap.ask("FETCH 1:* (FLAGS)")
            await imap.idle()
            return imap

    return list(await asyncio.gather(*map(open_one, numbers)))


def measure(connections: int = CONNECTIONS) -> list[str]:
    """The table. Each figure is of processes that were started for it: what was freed once would count for nobody."""
    accounts = -(-connections // OF_AN_ACCOUNT)
    found: dict[str, list[float]] = {kind: [] for kind in BUDGETS}
    names = []
    for side, settings in ((peers.restante, OURS), (peers.dovecot, THEIRS)):
        with tempfile.TemporaryDirectory(prefix="bench-idle-") as home:
            with side(Path(home), settings) as peer:
                names.append(peer.name)
                uvloop.run(fill(peer, accounts))
            for kind, costs in found.items():
                with side(Path(home), settings) as peer:
                    costs.append(uvloop.run(growth(peer, connections, tls=kind == "TLS")))
                print(f"{peer.name}, {kind}: {costs[-1]:.1f} kB", file=sys.stderr)
    head = f"an idle connection of {connections:,}, kB (PSS)"
    table = [f"| {head} | {' | '.join(names)} | budget |", "|---" * (len(names) + 2) + "|"]
    for kind, budget in BUDGETS.items():
        verdict = "" if found[kind][0] <= budget else " above"
        costs = " | ".join(f"{cost:.1f}" for cost in found[kind])
        table.append(f"| {kind} | {costs} | {budget:g}{verdict} |")
    return table
