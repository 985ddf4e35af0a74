"""The copies of storage: where they are, and which of them takes the next call.

The rule: every copy has a link of its own, kept open and renewed by our own clock; a call never goes to one that has
turned, and waits, within its deadline, where there is none.
"""

import asyncio
import math
import random
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from services.mail.errors import StoreUnavailable
from services.plumbing import logs
from services.plumbing.failures import SettingsWrong
from services.plumbing.rpc.client.link import Link
from services.plumbing.rpc.errors import NotLetIn

log = logs.get(__name__)

RESOLVE_SECONDS: Final = 3.0
CONNECT_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 600.0
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0

# Calls in flight on one link, and calls that wait for a link. Streams do not count: slow readers would shut out others.
MOST_IN_FLIGHT: Final = 500
MOST_WAITING: Final = 10_000
# Below this many in flight, calls stay with the first copy: letters that meet in one copy share a transaction.
STICKY: Final = 8

NOT_REACHED: Final = "no copy of storage can be reached"

Place = tuple[str, str, int]
Open = Callable[[Place, Callable[[], None]], Link]


@dataclass(slots=True)
class Copy:
    """One copy. rank: a number of our own, so that doors do not all prefer the same one."""

    place: Place
    rank: float = field(default_factory=random.random)
    link: Link | None = None
    keeper: asyncio.Task[None] | None = None


def places_of(storage: str) -> list[tuple[str, int]]:
    """Hosts and ports of RESTANTE_STORAGE. Raises SettingsWrong."""
    places = []
    for part in storage.split(","):
        host, _, port = part.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise SettingsWrong(f"RESTANTE_STORAGE: {part.strip()!r} is not host:port")
        places.append((host.strip("[]"), int(port)))
    return places


async def resolve(host: str, port: int) -> list[Place]:
    """Every address of a name, of the fourth version where it has any. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family in (socket.AF_INET, socket.AF_INET6):
        addresses = sorted({str(each[4][0]) for each in found if each[0] == family})
        if addresses:
            return [(host, address, port) for address in addresses]
    return []


class Copies:
    """open_link: makes the link to a place, not yet connected."""

    def __init__(self, storage: str, open_link: Open, renew_seconds: float = RENEW_SECONDS) -> None:
        self._names = places_of(storage)
        self._open_link = open_link
        self._renew_seconds = renew_seconds
        self._copies: dict[Place, Copy] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble = NOT_REACHED

    def start(self) -> None:
        """Begins to look for copies."""
        self._spawn(self._look())

    async def stop(self) -> None:
        """Closes every link at once."""
        tasks = [*self._tasks, *(copy.keeper for copy in self._copies.values() if copy.keeper)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for copy in self._copies.values():
            if copy.link is not None:
                await copy.link.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def ready(self) -> Link | None:
        """The link for the next call, or None."""
        best: Link | None = None
        best_load = (math.inf, 0.0)
        for copy in self._copies.values():
            link = copy.link
            if link is not None and not link.turned.is_set() and link.calls < MOST_IN_FLIGHT:
                load = (link.in_flight // STICKY, copy.rank)
                if load < best_load:
                    best, best_load = link, load
        return best

    async def pick(self, seconds: float) -> Link:
        """The same, waiting at most `seconds` for one. Raises StoreUnavailable."""
        if (link := self.ready()) is not None:
            return link
        if len(self._waiting) >= MOST_WAITING:
            raise StoreUnavailable("too many calls wait for storage")
        try:
            async with asyncio.timeout(seconds):
                while True:
                    waiting = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiting)
                    await waiting
                    if (link := self.ready()) is not None:
                        return link
        except TimeoutError:
            raise StoreUnavailable(self._trouble) from None

    def _on_free(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    def _on_arrival(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def _look(self) -> None:
        while True:
            found: set[Place] = set()
            unresolved: set[str] = set()
            for host, port in self._names:
                try:
                    found.update(await resolve(host, port))
                except OSError as error:
                    unresolved.add(host)
                    self._note(f"{host} cannot be resolved: {error.strerror or error}")
            for place in found - self._copies.keys():
                copy = self._copies[place] = Copy(place)
                copy.keeper = asyncio.create_task(self._keep(copy))
            # A name that does not resolve now keeps the copies that it had.
            for place in [each for each in self._copies.keys() - found if each[0] not in unresolved]:
                self._leave(self._copies.pop(place))
            await asyncio.sleep(RESOLVE_SECONDS)

    def _leave(self, copy: Copy) -> None:
        if copy.keeper is not None:
            copy.keeper.cancel()
        if copy.link is not None:
            self._spawn(copy.link.retire())

    async def _keep(self, copy: Copy) -> None:
        pause = FIRST_PAUSE
        while True:
            link = await self._connect(copy)
            if link is None:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if copy.link is not None:
                self._spawn(copy.link.retire())
            copy.link = link
            self._on_arrival()
            try:
                async with asyncio.timeout(self._renew_seconds * random.uniform(0.9, 1.0)):  # noqa: S311
                    await link.turned.wait()
            except TimeoutError:
                continue
            copy.link = None
            self._spawn(link.retire())
            await asyncio.sleep(FIRST_PAUSE)

    async def _connect(self, copy: Copy) -> Link | None:
        link = self._open_link(copy.place, self._on_free)
        try:
            await link.open(CONNECT_SECONDS)
        except (NotLetIn, TimeoutError) as error:
            if isinstance(error, NotLetIn) and error.code is grpc.StatusCode.UNAUTHENTICATED:
                self._note(
                    "storage refuses our token: RESTANTE_TOKEN_FILE must name the same secret on both sides"
                )
            await link.close()
            return None
        except BaseException:
            await link.close()
            raise
        return link

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("storage not reached", reason=trouble)
