"""Texts of headers, beside those of bodies, for searching."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGES = """
CREATE TABLE header_text (
    account_id BIGINT NOT NULL,
    body_id BIGINT NOT NULL,
    sent INTEGER,
    folded TEXT NOT NULL,
    PRIMARY KEY (account_id, body_id)
)
 WITH (toast_tuple_target = 8160);

ALTER TABLE header_text ALTER COLUMN folded SET STORAGE EXTERNAL;

ALTER TABLE body_text ALTER COLUMN folded DROP NOT NULL;

ALTER TABLE body_text ALTER COLUMN folded SET STORAGE EXTERNAL;

ALTER TABLE body_text SET (toast_tuple_target = 8160);
"""


def upgrade() -> None:
    """Makes them; they are filled as accounts are written to and searched."""
    op.execute(CHANGES)
