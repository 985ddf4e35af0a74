"""Settings: read from the environment, typed, frozen, and explained by their own descriptions.

A shared setting is RESTANTE_<FIELD>, one of a process's own RESTANTE_<PROCESS>_<FIELD>. Rule: every default
runs, and a name that nobody knows stops the start with its nearest right spelling.
"""

import os
import socket
from collections.abc import Container, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from services.plumbing.failures import SettingsWrong
from services.plumbing.spelling import check_names

CHECKOUT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def hostname() -> str:
    """This machine's full name where it has one, else localhost."""
    name = socket.getfqdn()
    return name if "." in name and not name.startswith("localhost") else "localhost"


class SharedSettings(BaseModel):
    """What every process reads under the same name, and how settings are read at all.

    process: the name, as in RESTANTE_<PROCESS>_…
    """

    process: ClassVar[str] = ""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(
        default=CHECKOUT / ".restante",
        description="Folder of data, certificate, keys and logs. Made if missing.",
    )
    hostname: str = Field(
        default_factory=hostname,
        min_length=1,
        max_length=255,
        description="The name this system gives itself in greetings and trace headers.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least level that is logged. debug shows the wire, never passwords or bodies.",
    )
    storage: str = Field(
        default="127.0.0.1:50051",
        min_length=1,
        description="Where storage is: host:port, several with commas, or a DNS name of every copy with a port.",
    )
    token_file: Path = Field(
        default_factory=lambda data: data["home"] / "keys" / "token",
        description="File with the secret that a caller of storage shows. Readable by the processes only.",
    )
    tls_certificate: Path = Field(
        default_factory=lambda data: data["home"] / "tls" / "certificate.pem",
        description="PEM file with the certificate of the doors, then its chain. Read again when it changes.",
    )
    tls_key: Path = Field(
        default_factory=lambda data: data["home"] / "tls" / "key.pem",
        description="PEM file with that certificate's key.",
    )
    apop: bool = Field(
        default=False,
        description="Offer APOP in POP3's greeting to accounts that restante account apop gave a secret. It is an MD5 "
        "digest, and its secrets must be kept readable: for old clients without TLS.",
    )
    apop_key_file: Path = Field(
        default_factory=lambda data: data["home"] / "keys" / "apop",
        description="File with the key that seals APOP's secrets, 32 octets in base64. Read by storage alone.",
    )
    oauth_issuer: str = Field(
        default="",
        description="Whose tokens log in (OAUTHBEARER, XOAUTH2): the iss of an OpenID Connect provider, exactly. "
        "Storage needs RESTANTE_STORAGE_OAUTH_AUDIENCE and RESTANTE_STORAGE_OAUTH_KEYS then.",
    )
    rpc_certificate: Path | None = Field(
        default=None, description="PEM file with this process's certificate towards storage, for mutual TLS."
    )
    rpc_key: Path | None = Field(default=None, description="PEM file with that certificate's key.")
    rpc_authority: Path | None = Field(
        default=None, description="PEM file with the authority that both ends of rpc trust."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL to use instead of the embedded one: postgresql://user:password@host/name.",
    )
    database_direct_url: SecretStr | None = Field(
        default=None,
        description="The same database without a pooler between, for LISTEN and migrations. By default the same.",
    )

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _check_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        # What psycopg says of another one shows the password in it.
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("should begin with postgresql://")
        return url

    @model_validator(mode="after")
    def _check_mutual_tls(self) -> Self:
        files = (self.rpc_certificate, self.rpc_key, self.rpc_authority)
        if any(files) and not all(files):
            raise ValueError("mutual TLS takes all of RESTANTE_RPC_CERTIFICATE, _KEY and _AUTHORITY")
        return self

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings as the environment has them.

        Raises SettingsWrong: unknown names with their nearest right spelling, or values that do not fit.
        """
        environment = os.environ if environment is None else environment
        names = {cls.name_of(field): field for field in cls.model_fields}
        check_names(environment, cls.process, set(names))
        values = {field: environment[name] for name, field in names.items() if environment.get(name)}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = (
                ": ".join((*map(cls.name_of, map(str, each["loc"][:1])), plain(each["msg"])))
                for each in error.errors()
                if each["type"] != "default_factory_not_called"
            )
            raise SettingsWrong("; ".join(wrong)) from None

    @classmethod
    def name_of(cls, field: str) -> str:
        """The environment variable of a field."""
        if field in SharedSettings.model_fields:
            return f"RESTANTE_{field.upper()}"
        return f"RESTANTE_{cls.process.upper()}_{field.upper()}"

    def manual(self, fields: Container[str] | None = None) -> str:
        """Settings (all, or some fields) with value, default and what each is for; secrets are masked."""
        pristine = type(self)(home=type(self).model_fields["home"].default)
        entries = []
        for field, info in type(self).model_fields.items():
            if fields is not None and field not in fields:
                continue
            value, default = getattr(self, field), getattr(pristine, field)
            note = "" if value == default else f"  (default {show(default)})"
            entries.append(f"{self.name_of(field)}={show(value)}{note}\n    {info.description}")
        return "\n".join(entries)


class Settings(SharedSettings):
    """The base of the class of each process that serves; its fields are read under the process's name."""

    admin_address: str = Field(
        default="127.0.0.1",
        description="Address of the admin port. Kubernetes probes need one that the node reaches.",
    )
    admin_port: int = Field(
        default=0, ge=0, le=65535, description="Port of /live, /ready and /metrics; 0 takes a free one."
    )
    drain_seconds: float = Field(
        default=20.0,
        ge=0,
        le=3600,
        description="How long running work may take once the process was told to stop.",
    )

    @classmethod
    def name_of_port(cls, settings: Self, port: int) -> str:
        """The environment variable that asked for a port, or nothing."""
        fields = (
            field for field in cls.model_fields if field.endswith("port") and getattr(settings, field) == port
        )
        return next((cls.name_of(field) for field in fields), "")


def plain(message: str) -> str:
    """What pydantic says, as a part of our sentence."""
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def show(value: Any) -> str:
    """A value as one would write it in the environment."""
    return "" if value is None else str(value)
