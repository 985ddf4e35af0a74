"""Names of mailboxes by code point, and one mailbox of each special use."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE mailboxes ALTER COLUMN name TYPE TEXT COLLATE "C";

ALTER TABLE subscriptions ALTER COLUMN name TYPE TEXT COLLATE "C";

UPDATE mailboxes b SET special_use = '' WHERE special_use <> '' AND EXISTS (
    SELECT FROM mailboxes a
    WHERE a.account_id = b.account_id AND a.special_use = b.special_use AND a.mailbox_id < b.mailbox_id
);

CREATE UNIQUE INDEX mailboxes_by_use ON mailboxes (account_id, special_use) WHERE special_use <> '';
"""


def upgrade() -> None:
    """Changes them; the indexes by name are made anew."""
    op.execute(CHANGES)
