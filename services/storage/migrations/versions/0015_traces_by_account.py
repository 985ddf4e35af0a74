"""Letters are traced by the account that they were delivered to, whatever they were addressed to."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the index."""
    op.execute("CREATE INDEX traces_by_account ON traces (account_id, at, trace_id) WHERE account_id <> 0")
