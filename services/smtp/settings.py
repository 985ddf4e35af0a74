"""The settings of the SMTP door."""

from typing import ClassVar

from pydantic import Field, field_validator

from services.plumbing.net.networks import Networks
from services.plumbing.net.settings import DoorSettings


class Settings(DoorSettings):
    """Read from RESTANTE_SMTP_…"""

    process: ClassVar[str] = "smtp"

    address: str = Field(default="127.0.0.1", description="Address that the port listens on.")
    port: int = Field(
        default=2525, ge=0, le=65535, description="Port of SMTP with STARTTLS; 0 takes a free one."
    )
    lmtp_port: int = Field(
        default=2424,
        ge=0,
        le=65535,
        description="Port of LMTP with STARTTLS, for a mail server in front; 0 takes a free one.",
    )
    lmtp_networks: str = Field(
        default="127.0.0.0/8,::1/128",
        description="Networks, with commas, that may speak LMTP: it has no limits for strangers.",
    )
    message_octets: int = Field(
        default=100 * 1024 * 1024,
        ge=64 * 1024,
        le=2**31,
        description="The largest letter that is taken, in octets.",
    )
    recipients: int = Field(
        default=100,
        ge=100,
        le=10_000,
        description="Recipients of one letter; RFC 5321 §4.5.3.1.8 asks for 100 at least.",
    )
    line_octets: int = Field(
        default=2048, ge=1024, le=65536, description="The longest command line, in octets."
    )
    normalise_newlines: bool = Field(
        default=False,
        description="Turns a bare CR or LF in a letter into CR LF instead of refusing the letter.",
    )
    postmaster: str = Field(
        default="",
        description="Who gets letters to <postmaster> without a domain; by default postmaster@ the hostname, the alias "
        "postmaster, or the oldest account.",
    )
    greet_seconds: float = Field(
        default=0.0,
        ge=0,
        le=60,
        description="How long to wait before the greeting; who speaks meanwhile is sent away.",
    )
    idle_seconds: float = Field(
        default=300.0,
        ge=1,
        description="How long a client may stay silent (RFC 5321 §4.5.3.2.7: five minutes).",
    )
    data_octets_per_second: int = Field(
        default=200,
        ge=1,
        description="The slowest that a letter may come, on the average behind its first five minutes.",
    )
    slow_errors: int = Field(
        default=10, ge=1, description="Errors of one client after which its answers come slower."
    )
    most_errors: int = Field(
        default=20, ge=1, description="Errors of one client after which it is disconnected."
    )
    error_seconds: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How much slower the answers get with each error above slow_errors.",
    )

    @field_validator("lmtp_networks")
    @classmethod
    def _check_networks(cls, networks: str) -> str:
        Networks.read(networks)
        return networks

    @property
    def lmtp_trusted(self) -> Networks:
        """Who may speak LMTP."""
        return Networks.read(self.lmtp_networks)
