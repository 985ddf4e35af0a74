"""SQL of the change log. Read by (account, modseq), the primary key of changes."""

from typing import Final

from services.storage.transaction import Statement

# Primary keys of account_state and changes (a range): floor and log share a snapshot.
LIST: Final = Statement(
    "list changes",
    """
    SELECT a.modseq, a.log_floor, c.modseq, c.mailbox_id, c.kind, c.runs
    FROM account_state a LEFT JOIN LATERAL (
        SELECT modseq, mailbox_id, kind, runs FROM changes
        WHERE account_id = %(account_id)s AND modseq > %(since)s
        ORDER BY modseq, mailbox_id, kind LIMIT %(limit)s
    ) c ON true
    WHERE a.account_id = %(account_id)s
    ORDER BY c.modseq, c.mailbox_id, c.kind
    """,
)

# Primary key of changes.
ONE_MODSEQ: Final = Statement(
    "list one modseq",
    """
    SELECT NULL, NULL, modseq, mailbox_id, kind, runs FROM changes
    WHERE account_id = %(account_id)s AND modseq = %(modseq)s ORDER BY mailbox_id, kind
    """,
)

# Primary key of account_state.
MODSEQS: Final = Statement(
    "modseqs", "SELECT account_id, modseq FROM account_state WHERE account_id = ANY(%(accounts)s)"
)

# Takes a database-wide lock at its own commit, and nothing else is in its transaction.
NOTIFY: Final = Statement(
    "notify",
    "SELECT pg_notify(c.channel, c.payload)"
    " FROM unnest(%(channels)s::text[], %(payloads)s::text[]) AS c (channel, payload)",
)
