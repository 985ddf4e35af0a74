"""The first tables."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE domains (
    domain TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (domain)
);

CREATE TABLE addresses (
    address TEXT NOT NULL,
    account_id BIGINT NOT NULL,
    PRIMARY KEY (address)
);

CREATE INDEX addresses_by_account ON addresses (account_id);

CREATE TABLE accounts (
    account_id BIGINT GENERATED ALWAYS AS IDENTITY,
    address TEXT NOT NULL,
    is_enabled BOOLEAN DEFAULT true NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (account_id),
    UNIQUE (address)
);

CREATE TABLE credentials (
    account_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    version BIGINT NOT NULL,
    secret BYTEA NOT NULL,
    PRIMARY KEY (account_id, kind)
);

CREATE TABLE account_state (
    account_id BIGINT NOT NULL,
    modseq BIGINT DEFAULT 0 NOT NULL,
    log_floor BIGINT DEFAULT 0 NOT NULL,
    body_next BIGINT DEFAULT 1 NOT NULL,
    mailbox_next BIGINT DEFAULT 1 NOT NULL,
    last_uid_validity BIGINT DEFAULT 0 NOT NULL,
    used_bytes BIGINT DEFAULT 0 NOT NULL,
    used_messages BIGINT DEFAULT 0 NOT NULL,
    quota_bytes BIGINT DEFAULT 0 NOT NULL,
    quota_messages BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (account_id)
)
 WITH (fillfactor = 25);

CREATE TABLE mailboxes (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    special_use TEXT DEFAULT '' NOT NULL,
    object_id TEXT NOT NULL,
    PRIMARY KEY (account_id, mailbox_id)
);

CREATE UNIQUE INDEX mailboxes_by_name ON mailboxes (account_id, name);

CREATE TABLE mailbox_state (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid_validity BIGINT NOT NULL,
    uid_next BIGINT DEFAULT 1 NOT NULL,
    highest_modseq BIGINT DEFAULT 0 NOT NULL,
    first_recent BIGINT DEFAULT 1 NOT NULL,
    messages BIGINT DEFAULT 0 NOT NULL,
    unseen BIGINT DEFAULT 0 NOT NULL,
    deleted BIGINT DEFAULT 0 NOT NULL,
    bytes BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (account_id, mailbox_id)
)
 WITH (fillfactor = 25);

CREATE TABLE subscriptions (
    account_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account_id, name)
);

CREATE TABLE keywords (
    account_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (account_id, number)
);

CREATE TABLE messages (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    body_id BIGINT NOT NULL,
    size BIGINT NOT NULL,
    internal_at BIGINT NOT NULL,
    saved_at BIGINT NOT NULL,
    thread_id BIGINT,
    structure_version SMALLINT NOT NULL,
    envelope BYTEA NOT NULL,
    structure BYTEA NOT NULL,
    preview TEXT,
    PRIMARY KEY (account_id, mailbox_id, uid)
);

CREATE TABLE flag_blocks (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    block BIGINT NOT NULL,
    live BIGINT NOT NULL,
    flags BIGINT[] NOT NULL,
    modseqs BIGINT[] NOT NULL,
    sizes BIGINT[] NOT NULL,
    more_keywords JSONB,
    PRIMARY KEY (account_id, mailbox_id, block)
)
 WITH (fillfactor = 50);

CREATE TABLE bodies (
    account_id BIGINT NOT NULL,
    body_id BIGINT NOT NULL,
    size BIGINT NOT NULL,
    header BIGINT NOT NULL,
    encoding SMALLINT NOT NULL,
    head BYTEA NOT NULL,
    parts BYTEA NOT NULL,
    content BYTEA,
    upload_id UUID,
    hash BYTEA NOT NULL,
    PRIMARY KEY (account_id, body_id)
)
 WITH (toast_tuple_target = 8160);

CREATE INDEX bodies_by_upload ON bodies (upload_id) WHERE upload_id IS NOT NULL;

CREATE TABLE body_shares (
    account_id BIGINT NOT NULL,
    body_id BIGINT NOT NULL,
    copies BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (account_id, body_id)
);

CREATE TABLE body_text (
    account_id BIGINT NOT NULL,
    body_id BIGINT NOT NULL,
    folded TEXT NOT NULL,
    PRIMARY KEY (account_id, body_id)
);

CREATE TABLE body_chunks (
    upload_id UUID NOT NULL,
    chunk_no INTEGER NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (upload_id, chunk_no)
);

CREATE TABLE uploads (
    upload_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (upload_id)
);

CREATE TABLE changes (
    account_id BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL,
    runs INT8MULTIRANGE,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (account_id, modseq, mailbox_id, kind)
);

CREATE INDEX changes_by_mailbox ON changes (account_id, mailbox_id, modseq);

CREATE TABLE expunged (
    account_id BIGINT NOT NULL,
    mailbox_id BIGINT NOT NULL,
    modseq BIGINT NOT NULL,
    runs INT8MULTIRANGE NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (account_id, mailbox_id, modseq)
);

CREATE TABLE requests (
    account_id BIGINT NOT NULL,
    request_id UUID NOT NULL,
    answer BIGINT[] NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (account_id, request_id)
);

CREATE TABLE processes (
    process_id UUID NOT NULL,
    kind TEXT NOT NULL,
    address TEXT NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (process_id)
);

CREATE TABLE sessions (
    account_id BIGINT NOT NULL,
    session_id UUID NOT NULL,
    process_id UUID NOT NULL,
    door TEXT NOT NULL,
    peer TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    mailbox_id BIGINT DEFAULT 0 NOT NULL,
    expunged_to BIGINT DEFAULT 0 NOT NULL,
    is_ending BOOLEAN DEFAULT false NOT NULL,
    PRIMARY KEY (account_id, session_id)
);

CREATE UNIQUE INDEX sessions_by_id ON sessions (session_id);

CREATE INDEX sessions_by_process ON sessions (process_id);

CREATE TABLE pop3_locks (
    account_id BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (account_id)
);

CREATE TABLE login_failures (
    key TEXT NOT NULL,
    failures BIGINT NOT NULL,
    last_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (key)
);

ALTER TABLE bodies ALTER COLUMN content SET STORAGE EXTERNAL;

ALTER TABLE body_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
"""


def upgrade() -> None:
    """Makes them."""
    op.execute(TABLES)
