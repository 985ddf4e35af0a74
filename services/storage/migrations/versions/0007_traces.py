"""Where letters went."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHANGES = """
CREATE TABLE traces (
    trace_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    letter_id UUID,
    account_id BIGINT DEFAULT 0 NOT NULL,
    mailbox_id BIGINT DEFAULT 0 NOT NULL,
    uid BIGINT DEFAULT 0 NOT NULL,
    size BIGINT DEFAULT 0 NOT NULL,
    sender TEXT DEFAULT '' NOT NULL,
    recipient TEXT DEFAULT '' NOT NULL,
    message_id TEXT DEFAULT '' NOT NULL,
    peer TEXT DEFAULT '' NOT NULL,
    detail TEXT DEFAULT '' NOT NULL
);
CREATE INDEX traces_by_letter ON traces (letter_id, at, trace_id) WHERE letter_id IS NOT NULL;
CREATE INDEX traces_by_message_id ON traces (message_id, at, trace_id) WHERE message_id <> '';
CREATE INDEX traces_by_recipient ON traces (recipient, at, trace_id) WHERE recipient <> '';
CREATE INDEX traces_by_sender ON traces (sender, at, trace_id) WHERE sender <> '';
"""


def upgrade() -> None:
    """Makes the table; what was delivered before has no traces."""
    op.execute(CHANGES)
