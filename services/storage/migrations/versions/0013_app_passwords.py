"""Passwords for one program each, which know what they are for and when they end."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

CHANGES = """
CREATE TABLE app_passwords (
    account_id BIGINT NOT NULL,
    app_password_id INTEGER NOT NULL,
    label TEXT NOT NULL,
    scopes SMALLINT NOT NULL,
    hash BYTEA NOT NULL,
    scram_keys BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (account_id, app_password_id)
);
"""


def upgrade() -> None:
    """Makes the table."""
    op.execute(CHANGES)
