"""How many connections may be open at once, in total and from one address.

Rule: whoever was admitted is released exactly once. attacks: hoarding of connections.
"""

import ipaddress
from functools import lru_cache


class Limits:
    """Counts open connections; the listeners of one process share it.

    total, per_address: connections; IPv6 addresses count by their /64, which one customer holds. Loopback
    counts in total only.
    """

    __slots__ = ("_by_network", "open", "per_address", "total")

    def __init__(self, total: int = 10_000, per_address: int = 100) -> None:
        self.total = total
        self.per_address = per_address
        self.open = 0
        self._by_network: dict[str, int] = {}

    def admit(self, address: str) -> bool:
        """Counts a connection in, or says no and counts nothing."""
        network = network_of(address)
        from_there = self._by_network.get(network, 0)
        if self.open >= self.total or (from_there >= self.per_address and network != LOOPBACK):
            return False
        self.open += 1
        self._by_network[network] = from_there + 1
        return True

    def release(self, address: str) -> None:
        """Counts an admitted connection out."""
        network = network_of(address)
        self.open -= 1
        left = self._by_network[network] - 1
        if left:
            self._by_network[network] = left
        else:
            del self._by_network[network]


LOOPBACK = "loopback"


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The name under which an address is counted."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return LOOPBACK if parsed.is_loopback else str(ipaddress.IPv6Network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return LOOPBACK if parsed.is_loopback else str(parsed)


def is_loopback(address: str) -> bool:
    """Whether a peer is on this machine, where a password needs no TLS."""
    return network_of(address) == LOOPBACK
