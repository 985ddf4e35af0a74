"""Aliases, and accounts that were removed."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

CHANGES = """
ALTER TABLE addresses ALTER COLUMN account_id DROP NOT NULL;

CREATE INDEX addresses_by_domain ON addresses (substring(address from '[^@]*$'));

CREATE INDEX aliases_by_address ON addresses (address) WHERE account_id IS NULL;

CREATE INDEX accounts_enabled ON accounts (account_id) WHERE is_enabled;

CREATE TABLE alias_targets (
    address TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (address, target)
);

CREATE INDEX alias_targets_by_target ON alias_targets (target, address);

CREATE TABLE removed_accounts (
    account_id BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (account_id)
);

INSERT INTO account_state (account_id) VALUES (0);
"""


def upgrade() -> None:
    """Adds them; addresses are few, so that their indexes are made in a moment."""
    op.execute(CHANGES)
