"""Both ends of the network on loopback: servers over a store, and the settings that reach them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.mail.store import Store
from services.plumbing.rpc.client import Patience, connect
from services.plumbing.rpc.server import Bounds, Server

TOKEN = "opensesame"
SHOWN = (("authorization", f"Bearer {TOKEN}"),)
PATIENCE = Patience(read=5.0, write=5.0, find=5.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server and a client read."""

    token_file: Path
    storage: str = "127.0.0.1:1"
    address: str = "127.0.0.1"
    port: int = 0
    reflection: bool = False
    drain_seconds: float = 10.0
    rpc_certificate: Path | None = None
    rpc_key: Path | None = None
    rpc_authority: Path | None = None


@dataclass(slots=True)
class Site:
    """Servers over one store."""

    settings: Settings
    store: Store
    servers: list[Server] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    async def add(self, port: int = 0, bounds: Bounds | None = None) -> Server:
        """One more copy."""
        server = Server(self.store, replace(self.settings, port=port), bounds or Bounds())
        self.ports.append(await server.start())
        self.servers.append(server)
        return server

    @property
    def storage(self) -> str:
        """Where the copies are."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @asynccontextmanager
    async def client(
        self, patience: Patience = PATIENCE, renew_seconds: float = 600.0
    ) -> AsyncIterator[Store]:
        """A client of all copies."""
        async with connect(replace(self.settings, storage=self.storage), patience, renew_seconds) as store:
            yield store


@asynccontextmanager
async def site_of(store: Store, folder: Path) -> AsyncIterator[Site]:
    """A site without a copy yet; all its servers end with it."""
    token_file = folder / "token"
    token_file.write_text(f"{TOKEN}\n")
    site = Site(Settings(token_file), store)
    async with AsyncExitStack() as stack:
        try:
            yield site
        finally:
            for server in site.servers:
                stack.push_async_callback(server.stop, 0)
