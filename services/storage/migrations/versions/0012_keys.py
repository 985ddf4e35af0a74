"""A key of the installation's own, which every copy of storage hashes with."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# gen_random_uuid() is PostgreSQL's strong randomness; 122 bits of each are.
CHANGES = """
CREATE TABLE keys (
    name TEXT NOT NULL,
    key BYTEA NOT NULL,
    PRIMARY KEY (name)
);
INSERT INTO keys (name, key) VALUES (
    'logins', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid() || gen_random_uuid(), 'UTF8'))
);
"""


def upgrade() -> None:
    """Makes the table and the one key."""
    op.execute(CHANGES)
