"""What the sender of a letter wants to be told of it."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; letters that are there have none."""
    op.execute("ALTER TABLE bodies ADD COLUMN dsn BYTEA")
