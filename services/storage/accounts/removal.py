"""SQL of removing an account: at once what makes it one, and later, some rows at a time, what it held.

The rule: `removed_accounts` names it before anything goes, and until nothing is left.
"""

from typing import Final, LiteralString

from services.storage.transaction import Statement

# Holds the directory and the account. Primary keys, all by account_id. Without account_state nothing is written to it.
REMOVE: Final = Statement(
    "remove account",
    """
    WITH gone AS (
        DELETE FROM accounts WHERE account_id = %(account_id)s RETURNING account_id
    ), noted AS (
        INSERT INTO removed_accounts (account_id) SELECT account_id FROM gone
    ), secrets_gone AS (
        DELETE FROM credentials WHERE account_id = %(account_id)s
    ), app_passwords_gone AS (
        DELETE FROM app_passwords WHERE account_id = %(account_id)s
    ), state_gone AS (
        DELETE FROM account_state WHERE account_id = %(account_id)s
    ), mailboxes_gone AS (
        DELETE FROM mailboxes WHERE account_id = %(account_id)s
    ), mailbox_states_gone AS (
        DELETE FROM mailbox_state WHERE account_id = %(account_id)s
    ), subscriptions_gone AS (
        DELETE FROM subscriptions WHERE account_id = %(account_id)s
    ), locks_gone AS (
        DELETE FROM pop3_locks WHERE account_id = %(account_id)s
    )
    SELECT account_id FROM gone
    """,
)


_SOME: Final = """
    WITH gone AS (
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM {table} WHERE account_id = %(account_id)s LIMIT %(limit)s
        ))
        RETURNING 1
    )
    SELECT count(*) FROM gone
    """


def _some_of(table: LiteralString) -> Statement:
    """Removes some rows of a removed account, by the primary key, and counts them."""
    return Statement(f"sweep: removed account's {table}", _SOME.replace("{table}", table))


# Primary key of bodies. The octets of large ones are left to SWEEP_UPLOADS, since other accounts may share them.
BODIES: Final = Statement(
    "sweep: removed account's bodies",
    """
    WITH gone AS (
        DELETE FROM bodies WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM bodies WHERE account_id = %(account_id)s LIMIT %(limit)s
        ))
        RETURNING upload_id
    ), uploads_freed AS (
        INSERT INTO uploads (upload_id, at)
        SELECT DISTINCT upload_id, now() - interval '1 year' FROM gone WHERE upload_id IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM gone
    """,
)
MESSAGES: Final = _some_of("messages")
FLAG_BLOCKS: Final = _some_of("flag_blocks")
BODY_SHARES: Final = _some_of("body_shares")
HEADER_TEXT: Final = _some_of("header_text")
BODY_TEXT: Final = _some_of("body_text")
CHANGES: Final = _some_of("changes")
EXPUNGED: Final = _some_of("expunged")
REQUESTS: Final = _some_of("requests")
KEYWORDS: Final = _some_of("keywords")
UNIQUE_IDS: Final = _some_of("unique_ids")
# What a session that has not ended yet may still write, or whoever sets a password at that moment.
CREDENTIALS: Final = _some_of("credentials")
SUBSCRIPTIONS: Final = _some_of("subscriptions")
POP3_LOCKS: Final = _some_of("pop3_locks")
APP_PASSWORDS: Final = _some_of("app_passwords")

# What is left of an account, texts after the bodies that they are made from.
LEFT: Final = (
    MESSAGES, FLAG_BLOCKS, BODIES, BODY_SHARES, HEADER_TEXT, BODY_TEXT, CHANGES, EXPUNGED, REQUESTS, KEYWORDS,
    CREDENTIALS, SUBSCRIPTIONS, POP3_LOCKS, UNIQUE_IDS, APP_PASSWORDS,
)  # fmt: skip

# Scans removed_accounts: those of the last day.
REMOVED: Final = Statement(
    "sweep: removed accounts", "SELECT account_id, at < now() - interval '1 day' FROM removed_accounts"
)

# Primary key of removed_accounts.
FORGET: Final = Statement(
    "sweep: forget removed account", "DELETE FROM removed_accounts WHERE account_id = %(account_id)s"
)
