"""`python -m services.storage`: storage as a process; or one of its tasks, which does its one thing and ends."""

import asyncio
import sys

from services.mail.errors import StoreUnavailable
from services.plumbing import processes
from services.plumbing.failures import CannotStart
from services.plumbing.processes import Process
from services.plumbing.rpc.server import Server
from services.storage import revision
from services.storage.credentials.apop import read_key
from services.storage.credentials.tokens import TokenSettings
from services.storage.gather import GatherSettings
from services.storage.settings import Settings
from services.storage.store import StoreSettings, open_store
from services.storage.sweep.sweeper import SweepSettings
from services.storage.transaction import Database, PoolSettings
from services.storage.verify.recount import drifts


async def main(settings: Settings, process: Process) -> None:
    """Serves until the process is told to stop, then drains."""
    url, direct_url = settings.urls()
    await asyncio.to_thread(prepare_database, settings)
    async with open_store(url, direct_url, store_settings(settings)) as store:
        server = Server(store, settings)
        port = await server.start()
        process.ready(port=port)
        await process.stopping.wait()
        await server.drain()
        await server.stop(min(settings.drain_seconds, 2.0))


def prepare_database(settings: Settings) -> None:
    """The schema is the one that this program knows when this returns. Raises CannotStart."""
    direct_url = direct_url_of(settings)
    if settings.migrates:
        revision.migrate(direct_url)
    else:
        revision.check(direct_url)


def direct_url_of(settings: Settings) -> str:
    """The database without a pooler between. Raises CannotStart."""
    direct_url = settings.urls()[1]
    if settings.database_direct_url is None:
        revision.refuse_pooler(direct_url)
    return direct_url


def store_settings(settings: Settings) -> StoreSettings:
    """The same settings, as the store takes them."""
    return StoreSettings(
        pool=PoolSettings(settings.connections, settings.connection_seconds, settings.prepares),
        gather=GatherSettings(settings.batch_letters, settings.batch_octets),
        sweep=SweepSettings(
            settings.sweep_seconds,
            settings.expunged_seconds,
            log_seconds=settings.log_days * 86400,
            trace_seconds=settings.trace_days * 86400,
        ),
        message_octets=settings.message_octets,
        apop_key=read_key(settings.apop_key_file) if settings.apop else None,
        tokens=token_settings(settings),
        masters=[name.strip() for name in settings.masters.split(",") if name.strip()],
    )


def token_settings(settings: Settings) -> TokenSettings | None:
    """Whose tokens are taken."""
    if not settings.oauth_issuer:
        return None
    return TokenSettings(
        settings.oauth_issuer,
        settings.oauth_audience,
        settings.oauth_keys,
        settings.token_algorithms,
        settings.oauth_claim,
    )


def migrate(settings: Settings) -> int:
    """Says the revision that the schema has now."""
    print(f"schema {revision.migrate(direct_url_of(settings))}")
    return 0


def check(settings: Settings) -> int:
    """Says nothing where all is well."""
    revision.check(direct_url_of(settings))
    return 0


def verify(settings: Settings) -> int:
    """Prints every drift; 1 if there was one."""
    try:
        found = asyncio.run(print_drifts(settings.urls()[0]))
    except StoreUnavailable as error:
        raise CannotStart(error.text) from None
    print("no drift" if not found else f"{found} drifts", file=sys.stderr)
    return 1 if found else 0


async def print_drifts(url: str) -> int:
    """How many there were."""
    found = 0
    async with Database(url) as database:
        async for drift in drifts(database):
            found += 1
            print(drift)
    return found


TASKS: processes.Tasks[Settings] = {
    "migrate": ("brings the database's schema up to date; safe when several do at once", migrate),
    "check": ("says whether the schema is the one that this program knows", check),
    "verify": (
        "recounts everything, compares hashes, names every drift; exit code 1 if there is one",
        verify,
    ),
}

if __name__ == "__main__":
    processes.run("storage", Settings, main, tasks=TASKS)
