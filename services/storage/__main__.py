"""`python -m services.storage`: storage as a process. `migrate`, `check` and `verify` do their one thing and end."""

import argparse
import asyncio
import sys

from services.mail.errors import StoreUnavailable
from services.plumbing import processes
from services.plumbing.failures import CannotStart, SettingsWrong
from services.plumbing.processes import Process
from services.plumbing.rpc.server import Server
from services.storage import revision
from services.storage.gather import GatherSettings
from services.storage.settings import Settings
from services.storage.store import StoreSettings, open_store
from services.storage.sweep.sweeper import SweepSettings
from services.storage.transaction import Database, PoolSettings
from services.storage.verify.recount import drifts

TASKS = {
    "migrate": "brings the database's schema up to date; safe when several start at once",
    "check": "says whether the schema is the one that this program knows",
    "verify": "recounts everything, compares hashes, names every drift; exit code 1 if there is one",
}


async def main(settings: Settings, process: Process) -> None:
    """Serves until the process is told to stop, then drains."""
    url, direct_url = settings.urls()
    await asyncio.to_thread(revision.migrate if settings.migrates else revision.check, direct_url)
    async with open_store(url, direct_url, store_settings(settings)) as store:
        server = Server(store, settings)
        port = await server.start()
        process.ready(port=port)
        await process.stopping.wait()
        await server.drain()
        await server.stop(min(settings.drain_seconds, 2.0))


def store_settings(settings: Settings) -> StoreSettings:
    """The same settings, as the store takes them."""
    return StoreSettings(
        pool=PoolSettings(settings.connections, settings.connection_seconds, settings.prepared_statements),
        gather=GatherSettings(settings.batch_letters, settings.batch_octets),
        sweep=SweepSettings(
            settings.sweep_seconds, settings.expunged_seconds, log_seconds=settings.log_days * 86400
        ),
        message_octets=settings.message_octets,
    )


async def verify(url: str) -> int:
    """Prints every drift; 1 if there was one."""
    found = 0
    async with Database(url) as database:
        async for drift in drifts(database):
            found += 1
            print(drift)
    print("no drift" if not found else f"{found} drifts", file=sys.stderr)
    return 1 if found else 0


def run_task(name: str) -> int:
    """One of TASKS; its exit code."""
    try:
        url, direct_url = Settings.read().urls()
        if name == "migrate":
            print(f"schema {revision.migrate(direct_url)}")
        elif name == "check":
            revision.check(direct_url)
        else:
            return asyncio.run(verify(url))
    except (CannotStart, SettingsWrong, StoreUnavailable) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, SettingsWrong) else 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("--"):
        words = "\n".join(f"  {name:8} {text}" for name, text in TASKS.items())
        parser = argparse.ArgumentParser(
            prog="python -m services.storage",
            description=f"Without a task it serves.\n\n{words}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument("task", choices=TASKS)
        sys.exit(run_task(parser.parse_args().task))
    processes.run("storage", Settings, main)
