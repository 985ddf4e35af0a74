"""Texts for searching are made anew: lines that are no fields are in them, what cannot be decoded is not."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHANGES = """
TRUNCATE header_text, body_text;
"""


def upgrade() -> None:
    """Empties them; they are filled as accounts are written to and searched."""
    op.execute(CHANGES)
