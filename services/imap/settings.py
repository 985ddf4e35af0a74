"""The settings of the IMAP door."""

from typing import ClassVar

from pydantic import Field

from services.plumbing.net.settings import (
    AddressConnections,
    AddressRate,
    DoorSettings,
    NetworkConnections,
    NetworkRate,
)


class Settings(DoorSettings):
    """Read from RESTANTE_IMAP_…"""

    process: ClassVar[str] = "imap"

    address: str = Field(default="127.0.0.1", description="Address that both ports listen on.")
    port: int = Field(
        default=2143, ge=0, le=65535, description="Port of IMAP with STARTTLS; 0 takes a free one."
    )
    tls_port: int = Field(
        default=2993, ge=0, le=65535, description="Port of IMAP over TLS; 0 takes a free one."
    )
    plain_logins: bool = Field(
        default=False,
        description="Takes passwords without TLS from anywhere; from this machine they always are.",
    )
    message_octets: int = Field(
        default=100 * 1024 * 1024,
        ge=1024,
        le=2**31,
        description="The largest message that APPEND takes, in octets.",
    )
    login_seconds: float = Field(
        default=60.0, gt=0, description="How long a client may take until it has logged in."
    )
    idle_seconds: float = Field(
        default=1860.0,
        ge=1800,
        description="How long a logged-in client may stay silent (RFC 9051 §5.4: 30 minutes).",
    )
    search_seconds: float = Field(
        default=60.0, gt=0, description="How long one SEARCH may take before it is given up."
    )
    account_connections: int = Field(
        default=1000, ge=1, description="Open sessions of one account in one process of this door."
    )
    address_connections: AddressConnections = 2000
    network_connections: NetworkConnections = 5000
    address_rate: AddressRate = 6000
    network_rate: NetworkRate = 20_000
