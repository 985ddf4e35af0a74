"""How many connections may be open at once, in total and from one address.

Rule: whoever was admitted is released exactly once. attacks: hoarding of connections.
"""

import ipaddress
from functools import lru_cache

from services.plumbing.net.networks import Networks, parse


class Limits:
    """Counts open connections; the listeners of one process share it.

    total, per_address: connections; IPv6 addresses count by their /64, which one customer holds. Loopback, and
    exempt (the proxies, whose clients are counted) are in total only.
    """

    __slots__ = ("_by_network", "_exempt", "open", "per_address", "total")

    def __init__(self, total: int = 10_000, per_address: int = 100, exempt: Networks | None = None) -> None:
        self.total = total
        self.per_address = per_address
        self.open = 0
        self._exempt = exempt or Networks()
        self._by_network: dict[str, int] = {}

    def admit(self, address: str) -> bool:
        """Counts a connection in, or says no and counts nothing."""
        if self.open >= self.total or not self._count(address):
            return False
        self.open += 1
        return True

    def move(self, proxy: str, client: str) -> bool:
        """Counts an admitted connection under its client's address from now on, or says no and changes nothing."""
        if not self._count(client):
            return False
        self._uncount(proxy)
        return True

    def release(self, address: str) -> None:
        """Counts an admitted connection out."""
        self.open -= 1
        self._uncount(address)

    def _is_exempt(self, address: str) -> bool:
        return parse(address).is_loopback or self._exempt.holds(address)

    def _count(self, address: str) -> bool:
        if self._is_exempt(address):
            return True
        network = network_of(address)
        from_there = self._by_network.get(network, 0)
        if from_there >= self.per_address:
            return False
        self._by_network[network] = from_there + 1
        return True

    def _uncount(self, address: str) -> None:
        if self._is_exempt(address):
            return
        network = network_of(address)
        left = self._by_network[network] - 1
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The name under which an address is counted."""
    parsed = parse(address)
    return str(parsed if parsed.version == 4 else ipaddress.IPv6Network((parsed, 64), strict=False))
