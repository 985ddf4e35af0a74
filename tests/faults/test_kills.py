"""kill -9 in the middle of deliveries: what was acknowledged is there, once."""

import asyncio
import os
import signal

import pytest

from tests.e2e.system import System, await_that
from tests.faults.cluster import assert_exactly_once, read_back, verify
from tests.faults.generator import Generator

LETTERS = 2000


def kill(system: System, service: str) -> None:
    """Kills a service; returns when it is started again."""
    if service == "postgres":
        kill_postmaster(system)
    else:
        system.restart(service, signal.SIGKILL)


def kill_postmaster(system: System) -> None:
    """Kills PostgreSQL itself, not the process that watches it."""
    before = system.postmaster_pid()
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return system.postmaster_pid() != before
        except (OSError, IndexError, ValueError):
            return False

    await_that(is_back, "PostgreSQL is not started again")


@pytest.mark.parametrize(
    "victims", [("storage", "storage-2"), ("smtp", "smtp"), ("postgres", "postgres")], ids="-".join
)
async def test_what_was_acknowledged_is_there_once(
    cluster: System, account: str, victims: tuple[str, str]
) -> None:
    """RFC 5321 §4.2.5: 250 is a promise. A letter whose answer was lost may come again: RFC 1047."""
    generator = Generator(cluster.smtp_port, account, LETTERS)
    delivering = asyncio.create_task(generator.run())
    for acknowledged, victim in zip((LETTERS // 4, LETTERS // 2), victims, strict=True):
        await generator.reached(acknowledged)
        await asyncio.to_thread(kill, cluster, victim)
    log = await delivering
    assert len(log.acknowledged) == LETTERS
    assert_exactly_once(log, await asyncio.to_thread(read_back, cluster, account))
    assert await asyncio.to_thread(verify, cluster) == ""
    if "smtp" not in victims:
        assert not log.lost, "the door did not hold on to its clients"
