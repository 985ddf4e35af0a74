"""IP addresses: how they are written, and which ones belong together.

Rule: one peer has one spelling, whatever family its socket is of.
"""

import ipaddress
from functools import lru_cache
from typing import Self

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=4096)
def parse(address: str) -> Address:
    """An address as a socket tells it, an IPv4 one out of its IPv6 cloak. Raises ValueError."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return (isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped) or parsed


def plain(address: str) -> str:
    """The one spelling of a peer's address; the interface of a link-local one is kept."""
    return address if "%" in address else str(parse(address))


def is_loopback(address: str) -> bool:
    """Whether a peer is on this machine."""
    return parse(address).is_loopback


class Networks:
    """A set of networks, such as those of the proxies that are trusted."""

    __slots__ = ("_networks", "holds")

    def __init__(self, networks: tuple[Network, ...] = ()) -> None:
        self._networks = networks
        self.holds = lru_cache(maxsize=4096)(self._holds) if networks else lambda _address: False

    @classmethod
    def read(cls, text: str) -> Self:
        """Addresses and networks with commas between, as a setting has them. Raises ValueError."""
        return cls(tuple(ipaddress.ip_network(word.strip()) for word in text.split(",") if word.strip()))

    def _holds(self, address: str) -> bool:
        parsed = parse(address)
        return any(parsed in network for network in self._networks)
