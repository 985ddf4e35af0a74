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


async def test_why_a_child_does_not_come_back_is_said_once(tmp_path: Path) -> None:
    """Its data is another version's for a while; afterwards it comes back by itself."""
    told: list[str] = []
    started = child(tmp_path, told)
    await started.start(60)
    again = asyncio.Event()
    (tmp_path / "postgres").rename(tmp_path / "away")
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    keeper = asyncio.create_task(started.keep(60, again.set))
    try:
        os.kill(started.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while (tmp_path / "child.log").read_text().count("made by PostgreSQL 12") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert len(told) == 2, told
        assert told[1].startswith("postgres does not start, trying on: ")
        assert "made by PostgreSQL 12" in told[1]
        (tmp_path / "postgres" / "PG_VERSION").unlink()
        (tmp_path / "postgres").rmdir()
        (tmp_path / "away").rename(tmp_path / "postgres")
        await asyncio.wait_for(again.wait(), 60)
        assert told[2:] == ["postgres ready again"]
    finally:
        keeper.cancel()
        await started.stop(30)
