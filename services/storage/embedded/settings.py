"""Settings of the embedded PostgreSQL: RESTANTE_POSTGRES_….

The rule: every default runs; durability is PostgreSQL's own default and is not for sale here.
"""

from typing import ClassVar

from pydantic import Field

from services.plumbing.settings import Settings

# One machine, shared with the doors; what a role wants for itself is set by the migrations.
TUNING = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
}


class PostgresSettings(Settings):
    """The embedded PostgreSQL's own settings."""

    process: ClassVar[str] = "postgres"

    port: int = Field(
        default=0, ge=0, le=65535, description="Port on 127.0.0.1; 0 takes a free one at each start."
    )
    options: str = Field(
        default="",
        description="More of PostgreSQL's settings, as in: shared_buffers=1GB work_mem=32MB. They win over ours.",
    )

    def server_options(self) -> dict[str, str]:
        """What the server is started with beside its address. Raises ValueError for an option without =."""
        more = dict(each.split("=", 1) for each in self.options.split())
        return TUNING | more
