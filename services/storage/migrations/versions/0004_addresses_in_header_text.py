"""Texts for searching are made anew: addresses stand in them as the envelope tells them, too."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHANGES = """
TRUNCATE header_text, body_text;
"""


def upgrade() -> None:
    """Empties them; they are filled as accounts are written to and searched."""
    op.execute(CHANGES)
