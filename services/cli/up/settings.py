"""Settings of the supervisor: RESTANTE_UP_….

The rule: what a process decides for itself is that process's setting and is handed on; only what concerns all is here.
"""

from typing import ClassVar

from pydantic import Field, field_validator

from services.mail.address import canonical, parse_mailbox
from services.mail.errors import InvalidAddress
from services.plumbing.settings import SharedSettings


class UpSettings(SharedSettings):
    """The supervisor's own settings."""

    process: ClassVar[str] = "up"

    storages: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Copies of storage. The first takes RESTANTE_STORAGE_PORT, the others free ports.",
    )
    first_account: str = Field(
        default="me@restante.test",
        min_length=3,
        description="Account that the first start makes, with its domain. Its password is kept in first-account.",
    )
    start_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="How long one process may take until it is ready."
    )

    @field_validator("first_account")
    @classmethod
    def _check_address(cls, address: str) -> str:
        try:
            return canonical(parse_mailbox(address))
        except InvalidAddress as wrong:
            raise ValueError(wrong.text) from None
