"""The server of a storage process.

The rule: a drain says so in every open stream before anything is cut, and waits for what has begun.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_health.v1.health_pb2 import DESCRIPTOR as HEALTH
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from services.mail.store import Store
from services.plumbing import logs
from services.plumbing.failures import CannotStart, PortInUse
from services.plumbing.rpc.credentials import CertificateFiles, Secrets, Token, tls_files
from services.plumbing.rpc.interceptors import CountingInterceptor, DeadlineInterceptor, TokenInterceptor
from services.plumbing.rpc.servicer.drain import Drain
from services.plumbing.rpc.servicer.exchange import ExchangeServicer
from services.plumbing.rpc.servicer.methods import Bidirectional, generic_handlers, methods, service_names
from services.plumbing.rpc.servicer.watching import WatchServicer

log = logs.get(__name__)

# A page of a fetch is about 256 KB; the view of a mailbox of 20 million messages just fits.
MAX_MESSAGE: Final = 5 * 1024 * 1024
# Octets that may be under way on one stream; by itself gRPC lets them become sixteen megabytes.
WINDOW: Final = 1024 * 1024
# Octets of a frame: a message of letters is cut into as few as that gives.
FRAME: Final = 256 * 1024


class ServerSettings(Secrets, Protocol):
    """What a server reads of its process's settings."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def reflection(self) -> bool: ...
    @property
    def drain_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one peer may ask of a server at once. connection_seconds: after which programs look for other copies."""

    calls_of_a_stream: int = 1000
    streams_of_a_connection: int = 1000
    followers_of_a_stream: int = 10_000
    calls: int = 20_000
    connection_seconds: float = 300.0
    shares_port: bool = False


class Server:
    """Serves a store on one port."""

    def __init__(self, store: Store, settings: ServerSettings, bounds: Bounds = Bounds()) -> None:
        self._settings = settings
        self._drain = Drain()
        self._health = HealthServicer()
        token = Token(settings)
        self._tls = tls_files(settings)
        self._server = grpc.aio.server(
            interceptors=[
                *([TokenInterceptor(token)] if token.is_asked_for else []),
                CountingInterceptor(),
                DeadlineInterceptor(),
            ],
            options=options(bounds),
            maximum_concurrent_rpcs=bounds.calls,
        )
        table = methods(store)
        exchange = ExchangeServicer(table, self._drain, bounds.calls_of_a_stream)
        watch = WatchServicer(store.changes, self._drain, bounds.followers_of_a_stream)
        bidirectional: dict[str, Bidirectional] = {"exchange": exchange.exchange, "watch": watch.watch}
        self._server.add_generic_rpc_handlers(generic_handlers(table, bidirectional, self._drain))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if settings.reflection:
            health = [each.full_name for each in HEALTH.services_by_name.values()]
            names: Sequence[str] = (*service_names(), *health, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)

    async def start(self) -> int:
        """Listens; the port that was bound. Raises PortInUse, CannotStart."""
        target = f"{self._settings.address}:{self._settings.port}"
        try:
            if self._tls is not None:
                credentials = CertificateFiles(self._tls).for_server()
                port = self._server.add_secure_port(target, credentials)
            else:
                port = self._server.add_insecure_port(target)
        except RuntimeError as error:
            if "in use" in str(error) or self._settings.port:
                raise PortInUse(
                    self._settings.address, self._settings.port, "RESTANTE_STORAGE_PORT"
                ) from None
            raise CannotStart(f"cannot listen on {target}: {error}") from None
        await self._server.start()
        for name in ("", *service_names()):
            await self._health.set(name, HealthCheckResponse.SERVING)
        return port

    async def drain(self) -> None:
        """Takes nothing new, says so in every open stream, and waits for what has begun, at most drain_seconds."""
        await self._health.enter_graceful_shutdown()
        self._drain.begin()
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._drain.idle()
        except TimeoutError:
            log.warning("drain cut short", seconds=self._settings.drain_seconds)

    async def stop(self, grace: float) -> None:
        """Closes the port; what is still open is cut after `grace` seconds."""
        await self._server.stop(grace)


def options(bounds: Bounds) -> list[tuple[str, int]]:
    """gRPC's own settings of a server; ages and times in milliseconds."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        ("grpc.max_concurrent_streams", bounds.streams_of_a_connection),
        # Programs find new copies when their connection ends; streams on it go on for as long as they like.
        ("grpc.max_connection_age_ms", int(bounds.connection_seconds * 1000)),
        # No windows that grow with the line: what a peer sends ahead of us is bounded.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", WINDOW),
        ("grpc.http2.max_frame_size", FRAME),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.so_reuseport", int(bounds.shares_port)),
    ]
