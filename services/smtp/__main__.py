"""`python -m services.smtp`: the SMTP door as a process."""

from services.plumbing import processes
from services.plumbing.net.tls import TlsContext
from services.plumbing.processes import Process
from services.plumbing.rpc import client
from services.smtp.door import Door
from services.smtp.settings import Settings


async def main(settings: Settings, process: Process) -> None:
    """Serves the port until the process is told to stop."""
    tls = TlsContext(settings.tls_certificate, settings.tls_key)
    async with client.connect(settings) as store:
        door = Door(store, settings, tls)
        await door.start()
        process.ready(port=door.port, lmtp_port=door.lmtp_port)
        await process.stopping.wait()
        await door.stop(settings.drain_seconds)


if __name__ == "__main__":
    processes.run("smtp", Settings, main)
