"""Restante as the stress runs on it: one PostgreSQL, two copies of storage, three of the IMAP door or two workers.

The rule: whatever is killed comes back, the supervisor's processes by the supervisor, the other doors by `kill`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from services.mail.store import Store
from services.plumbing.rpc import client
from services.plumbing.settings import Settings
from tests.e2e.system import System
from tests.faults.cluster import PASSWORD
from tests.faults.stress.delivery import by_grpc, by_smtp
from tests.faults.stress.front import Front
from tests.faults.stress.world import User, World

EXTRA_DOORS = 2


class StressSettings(Settings):
    """What a program that asks storage itself needs."""

    process = "stress"


@dataclass(slots=True)
class ExtraDoor:
    """One more IMAP door, or a worker of the front, whose port is another one each time it starts."""

    system: System
    number: int
    module: str = "services.imap"
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        reading, writing = os.pipe()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RESTANTE_")}
        own = {
            "RESTANTE_HOME": str(self.system.home),
            "RESTANTE_STORAGE": self.system.grpc_target,
            "RESTANTE_READY_FD": str(writing),
            "RESTANTE_IMAP_PORT": "0",
            "RESTANTE_IMAP_TLS_PORT": "0",
        }
        log = self.system.home / "logs" / f"{self.module.rpartition('.')[2]}-stress-{self.number}.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env={**kept, **own},
                pass_fds=[writing],
                stdout=output,
                stderr=output,
            )
        os.close(writing)
        with os.fdopen(reading) as said:
            line = said.readline()
        assert line, log.read_text()
        self.port = int(json.loads(line)["ports"]["port"])

    def end(self, number: signal.Signals) -> None:
        """Ends it."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None


@dataclass(slots=True)
class Copies:
    """All of it, to be asked for ports and to be broken."""

    system: System
    doors: list[ExtraDoor] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)

    def ports(self) -> Sequence[int]:
        """Of the IMAP doors that run."""
        return [self.system.imap_port, *(door.port for door in self.doors if door.process is not None)]

    def kill(self, victim: str) -> None:
        """kill -9, and wait until it is there again. victim: a service, or imap-1 and imap-2 for the other doors."""
        self.killed.append(victim)
        if victim in ("imap", "storage", "storage-2"):
            self.system.restart(victim, signal.SIGKILL)
            return
        door = self.doors[int(victim[-1]) - 1]
        door.end(signal.SIGKILL)
        door.start()


@contextmanager
def copies(system: System) -> Iterator[Copies]:
    """A running system with more doors."""
    with ExitStack() as stack:
        doors = [ExtraDoor(system, number) for number in range(1, EXTRA_DOORS + 1)]
        for door in doors:
            stack.callback(door.end, signal.SIGTERM)
            door.start()
        yield Copies(system, doors)


@asynccontextmanager
async def moving(
    system: System, seed: str, carry: Callable[[bytes], bytes] = lambda token: token
) -> AsyncIterator[Front]:
    """A front whose sessions run in one of two workers, now here and now there."""
    with ExitStack() as stack:
        workers = [ExtraDoor(system, number, "tests.faults.stress.worker") for number in (1, 2)]
        for worker in workers:
            stack.callback(worker.end, signal.SIGTERM)
            worker.start()
        async with Front([worker.port for worker in workers], seed, carry) as front:
            yield front


@asynccontextmanager
async def world_of(system: System, found: Copies, prefix: str) -> AsyncIterator[World]:
    """Two fresh accounts, and the ways to them."""
    settings = StressSettings(
        home=system.home, storage=system.grpc_target, token_file=system.home / "keys" / "token"
    )
    async with client.connect(settings) as store:
        users = [await _user(system, store, f"{prefix}-{number}@faults.test") for number in (1, 2)]
        yield World(found.ports, users)


async def _user(system: System, store: Store, address: str) -> User:
    await asyncio.to_thread(_add, system, address)
    smtp = by_smtp(lambda: system.smtp_port, "EHLO", address)
    return User(address, PASSWORD.replace(" ", "-"), ways=(smtp, by_grpc(store, address)))


def _add(system: System, address: str) -> None:
    password = PASSWORD.replace(" ", "-").encode()
    done = system.run("account", "add", address, "--password-stdin", stdin=password)
    assert done.returncode == 0, done.stderr.decode()
