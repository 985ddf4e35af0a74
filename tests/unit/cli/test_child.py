"""One process under supervision, with a real one: the embedded PostgreSQL."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from services.cli.up.child import Child
from services.plumbing.failures import CannotStart

MODULE = "services.storage.embedded"


def child(home: Path, told: list[str], module: str = MODULE, **settings: str) -> Child:
    """A child whose home and log are in a temporary folder."""
    environment = {
        **os.environ,
        "RESTANTE_HOME": str(home),
        "RESTANTE_POSTGRES_OPTIONS": "fsync=off",
        **settings,
    }
    return Child("postgres", module, environment, home / "child.log", told.append)


async def test_a_child_says_its_ports_when_it_is_ready_and_ends_when_told(tmp_path: Path) -> None:
    """What it announced is what it listens on; nothing is left after stop."""
    started = child(tmp_path, [])
    await started.start(60)
    _, writer = await asyncio.open_connection("127.0.0.1", started.ready.ports["port"])
    writer.close()
    await writer.wait_closed()
    assert os.getsid(started.pid) == started.pid
    await started.stop(30)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", started.ready.ports["port"])


async def test_a_child_that_cannot_start_gives_its_own_reason(tmp_path: Path) -> None:
    """Its one line on stderr, not the exit code."""
    with pytest.raises(
        CannotStart, match="RESTANTE_POSTGRES_PROT is not a setting: did you mean RESTANTE_POSTGRES_PORT"
    ):
        await child(tmp_path, [], RESTANTE_POSTGRES_PROT="1").start(60)


async def test_a_child_that_crashes_points_at_its_log(tmp_path: Path) -> None:
    """No module of this name: Python says so in the log."""
    with pytest.raises(CannotStart, match="services"):
        await child(tmp_path, [], module="services.nothing").start(60)


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    """kill -9: told, and ready again with another pid."""
    told: list[str] = []
    started = child(tmp_path, told)
    await started.start(60)
    first = started.pid
    again = asyncio.Event()
    keeper = asyncio.create_task(started.keep(60, again.set))
    try:
        os.kill(first, signal.SIGKILL)
        await asyncio.wait_for(again.wait(), 60)
        assert started.pid != first
        assert told == ["postgres was ended by SIGKILL, starting it again", "postgres ready again"]
    finally:
        keeper.cancel()
        await started.stop(30)
