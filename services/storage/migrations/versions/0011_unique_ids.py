"""Imported messages may keep what POP3 told of them elsewhere."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

CHANGES = """
CREATE TABLE unique_ids (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    unique_id TEXT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, uid)
);
"""


def upgrade() -> None:
    """Adds an empty table."""
    op.execute(CHANGES)
