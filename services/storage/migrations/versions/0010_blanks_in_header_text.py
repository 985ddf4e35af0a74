"""Texts for searching are made anew: fields are found by what is seen of them, with one blank for several."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CHANGES = """
TRUNCATE header_text, body_text;
"""


def upgrade() -> None:
    """Empties them; they are filled as accounts are written to and searched."""
    op.execute(CHANGES)
