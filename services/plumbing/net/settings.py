"""What can be set about every door."""

from pydantic import Field, field_validator

from services.plumbing.net.limits import Limits
from services.plumbing.net.networks import Networks
from services.plumbing.settings import Settings


class DoorSettings(Settings):
    """The base of the class of each process that strangers connect to."""

    proxies: str = Field(
        default="",
        description="Networks, with commas, whose connections must begin with a PROXY header (version 1 or 2). "
        "It is believed: name the proxies only.",
    )
    connections: int = Field(
        default=10_000,
        ge=1,
        description="Open connections in one process of this door, as are all such limits.",
    )
    address_connections: int = Field(
        default=100, ge=1, description="Open connections from one address, or one IPv6 /64."
    )
    network_connections: int = Field(
        default=1000, ge=1, description="Open connections from one IPv4 /24 or IPv6 /48."
    )
    address_rate: int = Field(
        default=3000, ge=1, description="New connections in a minute from one address, or one IPv6 /64."
    )
    network_rate: int = Field(
        default=10_000, ge=1, description="New connections in a minute from one IPv4 /24 or IPv6 /48."
    )

    @field_validator("proxies")
    @classmethod
    def _check_proxies(cls, proxies: str) -> str:
        Networks.read(proxies)
        return proxies

    @property
    def trusted(self) -> Networks:
        """The proxies."""
        return Networks.read(self.proxies)

    @property
    def limits(self) -> Limits:
        """Counters for a process's connections, all at nought."""
        return Limits(
            self.connections,
            self.address_connections,
            self.network_connections,
            self.address_rate,
            self.network_rate,
            exempt=self.trusted,
        )
