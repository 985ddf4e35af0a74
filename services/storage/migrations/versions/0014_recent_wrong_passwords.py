"""The same wrong password again is no new guess."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE login_failures ADD COLUMN recent BYTEA[] DEFAULT '{}' NOT NULL;
"""


def upgrade() -> None:
    """Adds the column; its default needs no rewriting."""
    op.execute(CHANGES)
