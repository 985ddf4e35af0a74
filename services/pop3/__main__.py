"""`python -m services.pop3`: the POP3 door as a process."""

from services.plumbing import processes
from services.plumbing.net.tls import TlsContext
from services.plumbing.processes import Process
from services.plumbing.rpc import client
from services.pop3.door import Door
from services.pop3.settings import Pop3Settings


async def main(settings: Pop3Settings, process: Process) -> None:
    """Serves both ports until the process is told to stop."""
    tls = TlsContext(settings.tls_certificate, settings.tls_key)
    admin_address = f"{settings.admin_address}:{process.admin_port}"
    async with (
        client.connect(settings) as store,
        Door(settings, store, tls, process.stopping, admin_address) as door,
    ):
        process.ready(port=door.plain.port, tls_port=door.secure.port)
        await process.stopping.wait()
        await door.stop(settings.drain_seconds)


if __name__ == "__main__":
    processes.run("pop3", Pop3Settings, main)
