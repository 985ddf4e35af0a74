"""Accepts connections on one port and runs a handler for each.

Rule: whatever a handler does, its connection is closed, uncounted and forgotten when it ends.
"""

import asyncio
import contextlib
import errno
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from services.plumbing import logs, metrics
from services.plumbing.failures import CannotStart, PortInUse
from services.plumbing.net.connection import HANDSHAKE_SECONDS, Connection, describe
from services.plumbing.net.deadlines import Deadlines
from services.plumbing.net.limits import Limits, TooMany
from services.plumbing.net.networks import Networks, is_loopback, plain
from services.plumbing.net.proxy import HeaderWrong, Source, read_header
from services.plumbing.net.tls import TlsContext

log = logs.get(__name__)

Handler = Callable[[Connection], Awaitable[None]]

BACKLOG = 1024
ACCEPTED_AT_ONCE = 32
# A proxy sends its header at once, but a lost segment comes again after three seconds at the latest.
HEADER_SECONDS = 10.0


class Listener:
    """One port.

    tls: what start_tls and implicit_tls use. refusal: what a peer over the limits is told before it is closed
    (plain ports only). proxies: from these, and only from these, a connection begins with a PROXY header; it names
    the peer that is counted and told to the handler.
    reuse_port: several processes share the port; only for those that a supervisor started after binding it
    once.
    """

    def __init__(
        self,
        address: str,
        port: int,
        handler: Handler,
        *,
        tls: TlsContext | None,
        implicit_tls: bool,
        limits: Limits,
        refusal: bytes = b"",
        reuse_port: bool = False,
        proxies: Networks | None = None,
        header_seconds: float = HEADER_SECONDS,
    ) -> None:
        if implicit_tls and tls is None:
            raise ValueError("implicit TLS needs a certificate")
        self.address = address
        self.port = port
        self.connections: set[Connection] = set()
        self._handler = handler
        self._tls = tls
        self._implicit_tls = implicit_tls
        self._limits = limits
        self._refusal = b"" if implicit_tls else refusal
        self._reuse_port = reuse_port
        self._proxies = proxies or Networks()
        self._header_seconds = header_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._unheard: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._deadlines: Deadlines

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop(grace=0.0)

    async def start(self) -> None:
        """Binds the port and accepts from now on; port then holds the number that was bound.

        Raises PortInUse, CannotStart.
        """
        self._deadlines = Deadlines()
        self._socket = bind(self.address, self.port, reuse_port=self._reuse_port)
        self.port = self._socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    async def stop_accepting(self) -> None:
        """Frees the port; open connections go on."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def stop(self, grace: float) -> None:
        """Stops accepting, ends every connection's reading, gives handlers grace seconds, cuts off the rest."""
        await self.stop_accepting()
        # A task that is cancelled before its first step never comes to its finally: whoever was just admitted begins.
        await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.end_reading()
        for task in self._unheard:
            task.cancel()
        if self._tasks and grace > 0:
            await asyncio.wait(self._tasks, timeout=grace)
        for connection in list(self.connections):
            connection.abort()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if self._socket is None:
                return
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._admit(accepted, peer)

    def _pause(self, error: OSError) -> None:
        """Out of descriptors or memory: tries again in a second rather than spin."""
        log.error("not accepting for a second", port=self.port, reason=error.strerror)
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            loop.remove_reader(self._socket)
        loop.call_later(1.0, self._resume)

    def _resume(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _admit(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        accepted.setblocking(False)
        peer = plain(address[0]), address[1]
        try:
            self._limits.admit(peer[0])
        except TooMany as refusal:
            self._refuse(accepted, peer[0], refusal.limit)
            return
        task = asyncio.get_running_loop().create_task(self._serve(accepted, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refuse(self, accepted: socket.socket, peer: str, limit: str) -> None:
        metrics.connections_refused.labels(port=str(self.port)).inc()
        log.warning("connection refused", limit=limit, peer=peer, port=self.port)
        with contextlib.suppress(OSError):
            accepted.send(self._refusal)
        accepted.close()

    async def _serve(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        metrics.connections.labels(port=str(self.port)).inc()
        metrics.connections_open.labels(port=str(self.port)).inc()
        session = secrets.token_hex(8)
        logs.bind(session=session)
        counted = peer[0]
        is_relayed = False
        connection: Connection | None = None
        try:
            if self._proxies.holds(peer[0]):
                source = await self._hear_proxy(accepted)
                is_relayed = source is None or not is_loopback(peer[0])
                if source is not None:
                    log.debug("proxied", proxy=peer[0], peer=source[0], port=self.port)
                    peer = source
                    self._limits.move(counted, peer[0])
                    counted = peer[0]
            connection = await self._connect(accepted, peer, session)
            connection.is_relayed = is_relayed
            self.connections.add(connection)
            await self._run(connection)
        except TooMany as refusal:
            self._refuse(accepted, peer[0], refusal.limit)
        except HeaderWrong as wrong:
            log.warning("proxy header refused", proxy=peer[0], port=self.port, reason=str(wrong))
        except OSError as error:
            log.info("connection failed", peer=peer[0], port=self.port, reason=describe(error))
        finally:
            if connection is None:
                accepted.close()
            else:
                self.connections.discard(connection)
            self._limits.release(counted)
            metrics.connections_open.labels(port=str(self.port)).dec()

    async def _hear_proxy(self, accepted: socket.socket) -> Source:
        """The client that a proxy names; nobody is served yet, so a stop does not wait for it."""
        task = asyncio.current_task()
        assert task is not None
        self._unheard.add(task)
        try:
            return await read_header(accepted, self._header_seconds)
        finally:
            self._unheard.discard(task)

    async def _connect(self, accepted: socket.socket, peer: tuple[str, int], session: str) -> Connection:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        local = accepted.getsockname()
        connection = Connection(peer, (local[0], local[1]), self._deadlines, self._tls, session)
        context = self._tls.current() if self._tls is not None and self._implicit_tls else None
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection,
            accepted,
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
        )
        return connection

    async def _run(self, connection: Connection) -> None:
        log.debug("connection opened", peer=connection.peer[0], port=self.port, tls=connection.is_tls)
        try:
            await self._handler(connection)
        except (ConnectionError, ssl.SSLError, TimeoutError) as error:
            log.info("connection broken", peer=connection.peer[0], port=self.port, reason=describe(error))
            connection.abort()
        except asyncio.CancelledError:
            connection.abort()
            raise
        except Exception:
            log.exception("handler failed", peer=connection.peer[0], port=self.port)
            metrics.bugs.inc()
            connection.abort()
        await connection.close()
        log.debug("connection closed", peer=connection.peer[0], port=self.port)


def bind(address: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket that does not block.

    port: 0 for a free one. Raises PortInUse; CannotStart for an address that is not this machine's or a port
    that is not ours to take.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.setblocking(False)
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(address, port) from None
        raise CannotStart(f"cannot listen on {address} port {port}: {error.strerror}") from None
    return listening
