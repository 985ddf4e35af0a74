"""The process `python -m services.storage.embedded`: keeps one PostgreSQL running until it is told to stop.

The rule: the address stays the same for as long as this process lives; a server that dies is started again on it.
"""

import asyncio

from services.plumbing import logs
from services.plumbing.failures import CannotStart
from services.plumbing.processes import Process, run
from services.storage.embedded.server import EmbeddedPostgres
from services.storage.embedded.settings import PostgresSettings

log = logs.get(__name__)


async def main(settings: PostgresSettings, process: Process) -> None:
    """Starts the server, keeps it running, stops it."""
    try:
        options = settings.server_options()
    except ValueError:
        raise CannotStart(
            "RESTANTE_POSTGRES_OPTIONS: each option is name=value, with spaces between"
        ) from None
    server = EmbeddedPostgres(settings.home, options, settings.port)
    stopping = asyncio.create_task(process.stopping.wait())
    try:
        await server.start()
        log.info("postgresql started", port=server.port, pid=server.pid)
        process.ready(port=server.port)
        while not stopping.done():
            ended = asyncio.create_task(server.ended())
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not stopping.done():
                log.error("postgresql ended, starting it again", code=ended.result())
                process.not_ready()
                await server.start()
                process.is_ready = True
            ended.cancel()
    finally:
        stopping.cancel()
        await server.stop()


if __name__ == "__main__":
    run("postgres", PostgresSettings, main)
