"""kill -9 in the middle of deliveries: what was acknowledged is there, once."""

import asyncio
import os
import signal

import pytest

from tests.e2e.system import System, await_that
from tests.faults.cluster import Generator, assert_exactly_once, read_back, verify

LETTERS = 2000


def kill_service(system: System, service: str) -> None:
    """Kills a service; returns when the supervisor has started it again."""
    system.restart(service, signal.SIGKILL)


def kill_postgres(system: System, _: str) -> None:
    """Kills the postmaster, not the process that watches it; returns when there is another one."""
    before = system.postmaster_pid()
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return system.postmaster_pid() != before
        except (OSError, IndexError, ValueError):
            return False

    await_that(is_back, "PostgreSQL is not started again")


@pytest.mark.parametrize("victim", ["storage", "storage-2", "smtp", "postgres"])
async def test_what_was_acknowledged_is_there_once(cluster: System, account: str, victim: str) -> None:
    """RFC 5321 §4.2.5: 250 is a promise. A letter whose answer was lost may come again: RFC 1047."""
    kill = kill_postgres if victim == "postgres" else kill_service
    generator = Generator(cluster.smtp_port, account, LETTERS)
    delivering = asyncio.create_task(generator.run())
    for acknowledged in (LETTERS // 4, LETTERS // 2):
        await generator.reached(acknowledged)
        await asyncio.to_thread(kill, cluster, victim)
    log = await delivering
    assert len(log.acknowledged) == LETTERS
    assert_exactly_once(log, await asyncio.to_thread(read_back, cluster, account))
    assert await asyncio.to_thread(verify, cluster) == ""
    if victim != "smtp":
        assert not log.lost, "the door held on to its clients"
