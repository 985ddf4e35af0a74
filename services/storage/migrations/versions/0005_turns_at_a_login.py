"""Guesses at one login wait for each other, whichever copies of storage they come to."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE login_failures ADD COLUMN tried_until TIMESTAMP WITH TIME ZONE DEFAULT '-infinity' NOT NULL;
"""


def upgrade() -> None:
    """Adds the column; its default needs no rewriting."""
    op.execute(CHANGES)
