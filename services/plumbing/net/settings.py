"""What can be set about every door."""

from typing import Annotated

from pydantic import Field, field_validator

from services.plumbing.net.limits import Limits
from services.plumbing.net.networks import Networks
from services.plumbing.settings import Settings

AddressConnections = Annotated[
    int, Field(ge=1, description="Open connections from one address, or one IPv6 /64.")
]
NetworkConnections = Annotated[
    int, Field(ge=1, description="Open connections from one IPv4 /24 or IPv6 /48.")
]
AddressRate = Annotated[
    int, Field(ge=1, description="New connections in a minute from one address, or one IPv6 /64.")
]
NetworkRate = Annotated[
    int, Field(ge=1, description="New connections in a minute from one IPv4 /24 or IPv6 /48.")
]


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
    address_connections: AddressConnections = 100
    network_connections: NetworkConnections = 1000
    address_rate: AddressRate = 3000
    network_rate: NetworkRate = 10_000

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
