"""The order of things: PostgreSQL, the schema, storage, the doors; and the same backwards.

The rule: whatever was started is stopped, whichever way this ends, doors first and PostgreSQL last, so that nothing
loses what it leans on while it finishes its work.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from services.cli.processes import DOORS
from services.cli.up.child import Child
from services.cli.up.home import Home
from services.cli.up.ports import choose_ports, free_ports
from services.cli.up.settings import UpSettings

# Ctrl-C should not keep somebody waiting: a door says goodbye and ends sooner than in a cluster.
DRAIN_SECONDS = "2"
# Storage stops after the doors and then has nothing to wait for; stopped alone, it lets them finish what they began.
STORAGE_DRAIN_SECONDS = "8"
STOP_SECONDS = 10.0


class Supervisor:
    """All processes of one machine.

    tell: called with a sentence about a process, for whoever watches.
    """

    def __init__(
        self, settings: UpSettings, home: Home, environment: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.home = home
        self.ports = choose_ports(environment)
        self.targets = [f"127.0.0.1:{port}" for port in self._storage_ports()]
        self.stages: list[list[Child]] = []
        self._tell = tell
        self._environment = dict(environment)
        self._keepers: list[asyncio.Task[None]] = []

    def _storage_ports(self) -> list[int]:
        return [self.ports["RESTANTE_STORAGE_PORT"], *free_ports(self.settings.storages - 1)]

    async def start(self) -> None:
        """Starts everything. Raises CannotStart; what was started then still runs.

        A door looks for storage until it finds it, so it need not wait for what is below.
        """
        doors = [self._child(name, f"services.{name}", self._common()) for name in DOORS]
        storages: list[Child] = []
        database_url = self.settings.database_url
        postgres = [self._postgres()] if database_url is None else []
        # In the order in which they lean on each other, which is not that in which they get ready.
        self.stages = [postgres, storages, doors]

        async def start_storage() -> None:
            await self._start_together(postgres)
            self._record()
            url = self.home.embedded_url() if database_url is None else database_url.get_secret_value()
            database = {"RESTANTE_DATABASE_URL": url}
            storages.extend(self._storage(n, port, database) for n, port in enumerate(self._storages(), 1))
            await self._start_together(storages)

        await all_of(start_storage(), self._start_together(doors))
        self._record()

    def _storages(self) -> list[int]:
        return [int(target.rpartition(":")[2]) for target in self.targets]

    def _direct_url(self) -> dict[str, str]:
        direct = self.settings.database_direct_url
        return {"RESTANTE_DATABASE_DIRECT_URL": direct.get_secret_value()} if direct is not None else {}

    def _common(self) -> dict[str, str]:
        """What every process gets; the database's address is for storage alone."""
        drain = {f"RESTANTE_{name.upper()}_DRAIN_SECONDS": DRAIN_SECONDS for name in (*DOORS, "postgres")} | {
            "RESTANTE_STORAGE_DRAIN_SECONDS": STORAGE_DRAIN_SECONDS
        }
        common = {**drain, **self._environment}
        for name in ("RESTANTE_DATABASE_URL", "RESTANTE_DATABASE_DIRECT_URL"):
            common.pop(name, None)
        ports = {setting: str(port) for setting, port in self.ports.items()}
        return {
            **common,
            **ports,
            "RESTANTE_HOME": str(self.home.folder),
            "RESTANTE_STORAGE": ",".join(self.targets),
        }

    def _postgres(self) -> Child:
        port = self._environment.get("RESTANTE_POSTGRES_PORT") or "0"
        fixed = {"RESTANTE_POSTGRES_PORT": port if port != "0" else str(free_ports(1)[0])}
        return self._child("postgres", "services.storage.embedded", {**self._common(), **fixed})

    def _storage(self, number: int, port: int, database: Mapping[str, str]) -> Child:
        own = {"RESTANTE_STORAGE_PORT": str(port), "RESTANTE_STORAGE_MIGRATES": "true"}
        if self.settings.storages > 1:
            own["RESTANTE_STORAGE_ADMIN_PORT"] = "0"
        name = "storage" if number == 1 else f"storage-{number}"
        return self._child(
            name, "services.storage", {**self._common(), **database, **self._direct_url(), **own}
        )

    def _child(self, name: str, module: str, environment: Mapping[str, str]) -> Child:
        return Child(name, module, environment, self.home.logs / f"{name}.log", self._tell)

    async def _start_together(self, children: list[Child]) -> None:
        """Starts processes side by side, and keeps them running."""
        await all_of(*(self._start_child(each) for each in children))
        for each in children:
            self._keepers.append(asyncio.create_task(each.keep(self.settings.start_seconds, self._record)))

    async def _start_child(self, child: Child) -> None:
        await child.start(self.settings.start_seconds)
        where = ", ".join(f"{name} {port}" for name, port in child.ready.ports.items())
        self._tell(f"{child.name} ready ({where})" if where else f"{child.name} ready")

    def _record(self) -> None:
        self.home.write_record(
            {"pid": os.getpid(), "storage": ",".join(self.targets), "services": dict(self.services())}
        )

    def services(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """Each process by name: its pid, its admin port, its ports."""
        for child in (each for stage in self.stages for each in stage):
            yield (
                child.name,
                {"pid": child.pid, "admin_port": child.ready.admin_port, "ports": dict(child.ready.ports)},
            )

    async def stop(self) -> None:
        """Stops what runs, in the opposite order."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for stage in reversed(self.stages):
            await asyncio.gather(*(child.stop(STOP_SECONDS) for child in stage))
        self.home.record.unlink(missing_ok=True)

    def kill(self) -> None:
        """Ends everything at once, for those who cannot wait; PostgreSQL still ends in order."""
        for child in (each for stage in self.stages for each in stage if each.name != "postgres"):
            child.kill()


async def all_of(*work: Coroutine[Any, Any, None]) -> None:
    """Waits until all is done. Raises the first thing that went wrong, once nothing is under way any more."""
    for outcome in await asyncio.gather(*work, return_exceptions=True):
        if outcome is not None:
            raise outcome
