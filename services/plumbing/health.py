"""The admin port: /live, /ready and /metrics over a small HTTP/1.0.

Rule: /live says only that the event loop turns; it never asks another process, or one broken database would
restart everything.
"""

import asyncio
from collections.abc import Callable

from services.plumbing import metrics
from services.plumbing.net.connection import Connection
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener

HEAD_LIMIT = 8192
TEXT = "text/plain; charset=utf-8"


class AdminPort:
    """Answers probes and scrapes.

    is_ready: asked at each /ready.
    """

    def __init__(self, address: str, port: int, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready
        limits = Limits(total=64, per_address=64)
        self._listener = Listener(address, port, self._answer, tls=None, implicit_tls=False, limits=limits)

    @property
    def port(self) -> int:
        """The number that was bound."""
        return self._listener.port

    async def start(self) -> None:
        """Raises PortInUse, CannotStart."""
        await self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop(grace=0.0)

    async def _answer(self, connection: Connection) -> None:
        async with asyncio.timeout(10.0):
            head = b""
            while b"\r\n\r\n" not in head and len(head) < HEAD_LIMIT:
                data = await connection.read()
                if not data:
                    return
                head += data
        method, _, rest = head.partition(b" ")
        status, kind, body = self.respond(method, rest.partition(b" ")[0].partition(b"?")[0])
        head_lines = (
            "HTTP/1.0 " + status,
            "Content-Type: " + kind,
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        connection.write("\r\n".join((*head_lines, "", "")).encode())
        if method != b"HEAD":
            connection.write(body)
        await connection.drain()

    def respond(self, method: bytes, path: bytes) -> tuple[str, str, bytes]:
        """The status line, content type and body for a request."""
        if method not in {b"GET", b"HEAD"}:
            return "405 Method Not Allowed", TEXT, b"only GET\n"
        if path == b"/live":
            return "200 OK", TEXT, b"live\n"
        if path == b"/ready":
            return (
                ("200 OK", TEXT, b"ready\n")
                if self._is_ready()
                else ("503 Service Unavailable", TEXT, b"not ready\n")
            )
        if path == b"/metrics":
            return "200 OK", metrics.CONTENT_TYPE, metrics.render()
        return "404 Not Found", TEXT, b"there are /live, /ready and /metrics\n"
