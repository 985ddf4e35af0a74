"""A small process for the tests of processes: it greets, and fails on request."""

import asyncio
import sys
from contextlib import suppress
from typing import ClassVar

from pydantic import Field

from services.plumbing.net.connection import Connection
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.processes import Process, run
from services.plumbing.settings import Settings


class DoorSettings(Settings):
    process: ClassVar[str] = "pop3"

    port: int = Field(default=0, description="Its port.")
    fails: bool = Field(default=False, description="Whether it has a bug.")
    works_on: bool = Field(
        default=False, description="Whether a task of it takes no notice of being cancelled."
    )


async def greet(connection: Connection) -> None:
    connection.write(b"hello\r\n")


async def work_on() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def main(settings: DoorSettings, process: Process) -> None:
    if settings.fails:
        raise LookupError("a bug of ours")
    _working = asyncio.create_task(work_on()) if settings.works_on else None
    async with Listener(
        "127.0.0.1", settings.port, greet, tls=None, implicit_tls=False, limits=Limits()
    ) as listener:
        process.ready(port=listener.port)
        await process.stopping.wait()
        await asyncio.sleep(0.2)  # as long as goodbyes take


if __name__ == "__main__":
    run("pop3", DoorSettings, main, sys.argv[1:])
