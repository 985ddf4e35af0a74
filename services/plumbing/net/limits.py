"""How many connections may be open and how many may come in a minute, from one address and from one network.

Rule: whoever was admitted is released exactly once, and what is remembered of whoever comes is bounded. attacks 7, 24.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from services.plumbing.net.networks import Networks, parse

# Addresses and networks whose rate is remembered; about 4 MB of each. Whoever came longest ago is forgotten first.
MOST_REMEMBERED: Final = 16_384
MINUTE: Final = 60.0


class TooMany(Exception):
    """A connection is over a limit; limit names its setting."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


class Counter:
    """The connections of each address, or of each network.

    name: what is counted; most: open ones of each; per_minute: new ones of each, and so many may come at once. The
    rate is told by one number for each (GCRA): when its past connections will have been worked off.
    """

    __slots__ = ("_interval", "_most", "_name", "_open", "_worked_off")

    def __init__(self, name: str, most: int, per_minute: int) -> None:
        self._name = name
        self._most = most
        self._interval = MINUTE / per_minute
        self._open: dict[str, int] = {}
        self._worked_off: OrderedDict[str, float] = OrderedDict()

    def check(self, key: str, now: float) -> None:
        """Raises TooMany for one more connection."""
        if self._open.get(key, 0) >= self._most:
            raise TooMany(f"{self._name}_connections")
        if max(self._worked_off.get(key, now), now) + self._interval > now + MINUTE:
            raise TooMany(f"{self._name}_rate")

    def add(self, key: str, now: float) -> None:
        """Counts a connection in."""
        self._open[key] = self._open.get(key, 0) + 1
        self._worked_off[key] = max(self._worked_off.get(key, now), now) + self._interval
        self._worked_off.move_to_end(key)
        while len(self._worked_off) > MOST_REMEMBERED or next(iter(self._worked_off.values())) <= now:
            self._worked_off.popitem(last=False)

    def remove(self, key: str) -> None:
        """Counts a connection out."""
        left = self._open[key] - 1
        if left:
            self._open[key] = left
        else:
            del self._open[key]

    @property
    def remembered(self) -> int:
        """How many addresses or networks take memory."""
        return max(len(self._open), len(self._worked_off))


class Limits:
    """Counts connections; the listeners of one process share it.

    total, per_address, per_network: open ones. address_rate, network_rate: new ones in a minute. Loopback, and exempt
    (the proxies, whose clients are counted) are in total only.
    """

    __slots__ = ("_addresses", "_clock", "_exempt", "_networks", "open", "total")

    def __init__(
        self,
        total: int = 10_000,
        per_address: int = 100,
        per_network: int = 1000,
        address_rate: int = 3000,
        network_rate: int = 10_000,
        *,
        exempt: Networks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.open = 0
        self._addresses = Counter("address", per_address, address_rate)
        self._networks = Counter("network", per_network, network_rate)
        self._exempt = exempt or Networks()
        self._clock = clock

    @property
    def remembered(self) -> int:
        """How many entries the larger table has."""
        return max(self._addresses.remembered, self._networks.remembered)

    def admit(self, address: str) -> None:
        """Counts a connection in, or raises TooMany and counts nothing."""
        if self.open >= self.total:
            raise TooMany("connections")
        self._add(address)
        self.open += 1

    def move(self, proxy: str, client: str) -> None:
        """Counts an admitted connection under its client's address, or raises TooMany and changes nothing."""
        self._add(client)
        self._remove(proxy)

    def release(self, address: str) -> None:
        """Counts an admitted connection out."""
        self.open -= 1
        self._remove(address)

    def _is_exempt(self, address: str) -> bool:
        return parse(address).is_loopback or self._exempt.holds(address)

    def _add(self, address: str) -> None:
        if self._is_exempt(address):
            return
        (unit, network), now = names(address), self._clock()
        self._addresses.check(unit, now)
        self._networks.check(network, now)
        self._addresses.add(unit, now)
        self._networks.add(network, now)

    def _remove(self, address: str) -> None:
        if not self._is_exempt(address):
            unit, network = names(address)
            self._addresses.remove(unit)
            self._networks.remove(network)


@lru_cache(maxsize=4096)
def names(address: str) -> tuple[str, str]:
    """Under what an address is counted: itself and its /24; of IPv6 the /64, which one customer holds, and the /48."""
    parsed = parse(address)
    if parsed.version == 4:
        return str(parsed), str(ipaddress.IPv4Network((parsed, 24), strict=False))
    unit, network = (ipaddress.IPv6Network((parsed, length), strict=False) for length in (64, 48))
    return str(unit), str(network)
