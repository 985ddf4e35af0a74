"""One PostgreSQL on one data folder: started, waited for, stopped.

The rule: it listens on 127.0.0.1 only, asks everybody for the password, and ends when we end, however we end.
"""

import asyncio
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from services.plumbing import logs
from services.plumbing.failures import CannotStart, PortInUse
from services.plumbing.files import write_secret
from services.storage.embedded.binaries import find_binaries
from services.storage.embedded.cluster import DATABASE, ENVIRONMENT, Cluster
from services.storage.embedded.identity import choose_identity

log = logs.get(__name__)

# A server that was killed leaves children that hold its memory, and one whose parent was killed is still shutting down.
LEFTOVERS = ("pre-existing shared memory block", "lock file", "already in use")
PATIENCE = 15.0


class EmbeddedPostgres:
    """PostgreSQL on the data in `home`/postgres, which is made at the first start.

    port: 0 takes a free one at the first start and keeps it for later ones. options: settings of the server.
    """

    def __init__(self, home: Path, options: Mapping[str, str], port: int = 0) -> None:
        self.cluster = Cluster(home)
        self.port = port
        self.log_file = home / "logs" / "postgresql.log"
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Starts the server and returns the URL of its database, which is there. Raises CannotStart.

        Call it from the main thread: the kernel ends the server with the thread that started it.
        """
        binaries = await asyncio.to_thread(find_binaries)
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = await asyncio.to_thread(choose_identity, self.cluster.home, binaries.folder)
        await asyncio.to_thread(self.cluster.prepare, binaries, identity)
        self.port = self.port or free_port()
        words: list[str] = []
        for name, value in {**self._options, **self._address()}.items():
            words += ["-c", f"{name}={value}"]
        command = identity.server_command(binaries.postgres, "-D", self.cluster.data, *words)
        await self._start_patiently(command)
        await self._create_database()
        url = self.cluster.url(self.port)
        write_secret(self.cluster.url_file, url + "\n")
        return url

    def _address(self) -> dict[str, str]:
        # No local socket: a path below a deep home would be longer than the kernel allows.
        return {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}

    async def _start_patiently(self, command: list[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            said = self.log_file.stat().st_size if self.log_file.exists() else 0
            await self._spawn(command)
            if await self._answers():
                return
            reason = self._last_words(said)
            if "could not create any TCP/IP sockets" in reason:
                raise PortInUse("127.0.0.1", self.port, "RESTANTE_POSTGRES_PORT")
            if not any(sign in reason for sign in LEFTOVERS) or time.monotonic() > deadline:
                raise CannotStart(f"PostgreSQL does not start: {reason}; more in {self.log_file}")
            await asyncio.sleep(0.2)

    async def _spawn(self, command: list[str]) -> None:
        with self.log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd="/",
                env=ENVIRONMENT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _answers(self) -> bool:
        """Waits until the server takes connections; False if it ended instead."""
        assert self._process is not None
        while self._process.returncode is None:
            try:
                connection = await psycopg.AsyncConnection.connect(
                    self.cluster.url(self.port, "postgres"), connect_timeout=5
                )
            except psycopg.OperationalError as error:
                if "password" in str(error):
                    # Perhaps somebody else's server answers on this port; then ours ends by itself.
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._process.wait(), 2)
                        return False
                    await self.stop()
                    raise CannotStart(
                        f"PostgreSQL refuses the password in {self.cluster.password_file}: put back the one that "
                        f"belongs to {self.cluster.data}"
                    ) from None
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return True
        return False

    def _last_words(self, since: int) -> str:
        with self.log_file.open("rb") as file:
            file.seek(since)
            lines = file.read(65536).decode("utf-8", "replace").splitlines()
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        return (fatal or lines or ["it says nothing"])[-1]

    async def _create_database(self) -> None:
        url = self.cluster.url(self.port, "postgres")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            found = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if await found.fetchone() is None:
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._process is not None
        return self._process.pid

    async def ended(self) -> int:
        """Waits for the server to end and returns its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """Ends the server: connections are cut, data is written. Nothing happens if it has ended."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGINT)
        await self._process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
