"""The settings of storage."""

from typing import ClassVar, Final, Self

from pydantic import Field, model_validator

from services.plumbing.failures import CannotStart
from services.plumbing.settings import Settings as ProcessSettings

# Those of RFC 7518 §3.1 and RFC 8037 §3.1 that are checked without a secret.
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


class Settings(ProcessSettings):
    """Read from RESTANTE_STORAGE_…"""

    process: ClassVar[str] = "storage"

    address: str = Field(default="127.0.0.1", description="Address that gRPC listens on.")
    port: int = Field(default=50051, ge=0, le=65535, description="Port of gRPC; 0 takes a free one.")
    reflection: bool = Field(
        default=False, description="Answers gRPC reflection, so that grpcurl can list what there is."
    )
    migrates: bool = Field(
        default=False,
        description="Brings the schema up to date before it serves, as restante migrate does. For one machine.",
    )
    connections: int = Field(default=10, ge=2, le=1000, description="Connections to the database at most.")
    connection_seconds: float = Field(
        default=5.0, gt=0, description="How long a request may wait for a connection before it is refused."
    )
    prepared_statements: bool | None = Field(
        default=None,
        description="Prepares statements on the server; true or false. By default unless RESTANTE_DATABASE_DIRECT_URL "
        "is set, since a pooler stands between then and PgBouncer before 1.21 mixes them up.",
    )
    message_octets: int = Field(
        default=100 * 1024 * 1024, ge=1024, le=2**31 - 1, description="The largest message, in octets."
    )
    batch_letters: int = Field(default=200, ge=1, le=1000, description="Letters of one transaction at most.")
    batch_octets: int = Field(
        default=4 * 1024 * 1024, ge=1024, description="Octets of the letters of one transaction at most."
    )
    oauth_audience: str = Field(default="", description="What aud of a token must be, or hold.")
    oauth_keys: str = Field(
        default="",
        description="The issuer's JWKS: a file, or an http(s) address. Read again when it has a new key.",
    )
    oauth_algorithms: str = Field(
        default="RS256,ES256",
        description="What tokens may be signed with, with commas; never HS…, whose verifier could make them.",
    )
    oauth_claim: str = Field(
        default="email", min_length=1, description="Which claim of a token is the login."
    )
    masters: str = Field(
        default="",
        description="Accounts, with commas, that may act for any other: by SASL PLAIN or SCRAM, with that one's "
        "address as the identity to act for, and their own password. Each such login is logged as a warning.",
    )
    sweep_seconds: float = Field(default=60.0, gt=0, description="How often to look for what can be removed.")
    expunged_seconds: float = Field(
        default=900.0,
        ge=900,
        description="How long an expunged message can still be fetched by open sessions.",
    )
    log_days: float = Field(default=30.0, gt=0, description="For how many days changes can be followed back.")

    trace_days: float = Field(
        default=14.0, gt=0, description="For how many days restante trace finds letters."
    )

    @model_validator(mode="after")
    def _check_oauth(self) -> Self:
        if self.oauth_issuer and not (self.oauth_audience and self.oauth_keys):
            raise ValueError(
                "RESTANTE_OAUTH_ISSUER takes RESTANTE_STORAGE_OAUTH_AUDIENCE and RESTANTE_STORAGE_OAUTH_KEYS"
            )
        if wrong := set(self.token_algorithms) - ALGORITHMS:
            names = ", ".join(sorted(wrong)) or "nothing"
            raise ValueError(
                f"RESTANTE_STORAGE_OAUTH_ALGORITHMS takes {', '.join(sorted(ALGORITHMS))}; not {names}"
            )
        return self

    @property
    def token_algorithms(self) -> tuple[str, ...]:
        """What tokens may be signed with."""
        return tuple(name.strip() for name in self.oauth_algorithms.split(","))

    def urls(self) -> tuple[str, str]:
        """The database's address, and the one without a pooler between. Raises CannotStart."""
        if self.database_url is None:
            raise CannotStart("no database: set RESTANTE_DATABASE_URL, or start everything with make run")
        direct = self.database_direct_url or self.database_url
        return self.database_url.get_secret_value(), direct.get_secret_value()

    @property
    def prepares(self) -> bool:
        """Whether statements are prepared on the server."""
        return (
            self.database_direct_url is None if self.prepared_statements is None else self.prepared_statements
        )
