"""What can be set about the POP3 door."""

from typing import ClassVar

from pydantic import Field

from services.plumbing.net.settings import DoorSettings


class Pop3Settings(DoorSettings):
    """RESTANTE_POP3_…"""

    process: ClassVar[str] = "pop3"

    address: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 or :: for all.")
    port: int = Field(default=2110, ge=0, le=65535, description="Port with STLS; 0 takes a free one.")
    tls_port: int = Field(default=2995, ge=0, le=65535, description="Port with TLS from the first octet.")
    idle_seconds: float = Field(
        default=600, ge=600, description="How long a session may be silent; RFC 1939 §3 asks for 10 minutes."
    )
    login_seconds: float = Field(default=60, ge=1, description="How long a peer may take to log in.")
    plain_passwords: bool = Field(
        default=False,
        description="Take passwords without TLS from other machines too. They can be read on the way.",
    )
    shares_ports: bool = Field(
        default=False,
        description="Several processes share the ports (SO_REUSEPORT). One in use is then not noticed.",
    )
