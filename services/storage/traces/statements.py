"""SQL of traces. The rule: an insert takes hundreds; a lookup is a range of one index, newest first."""

from typing import Final, LiteralString

from services.storage.transaction import Statement

# Appends.
INSERT: Final = Statement(
    "traces: insert",
    """
    INSERT INTO traces
        (kind, at, letter_id, account_id, mailbox_id, uid, size, sender, recipient, message_id, peer, detail)
    SELECT * FROM unnest(
        %(kinds)s::bigint[], %(ats)s::bigint[], %(letter_ids)s::uuid[], %(account_ids)s::bigint[],
        %(mailbox_ids)s::bigint[], %(uids)s::bigint[], %(sizes)s::bigint[], %(senders)s::text[],
        %(recipients)s::text[], %(message_ids)s::text[], %(peers)s::text[], %(details)s::text[]
    ) AS t
    """,
)

_FIND: Final = """
    SELECT t.kind, t.at, t.letter_id, t.sender, t.recipient, t.message_id, t.peer, t.size, t.detail,
        t.account_id, t.mailbox_id, t.uid, coalesce(b.name, ''), coalesce(f.is_there, false),
        coalesce(convert_from(d.dsn, 'UTF8'), ''),
        coalesce(a.address, '')
    FROM (
        SELECT * FROM traces t WHERE """
_NEWEST: Final = """
            AND (%(of_account)s::bigint = 0 OR t.account_id = %(of_account)s::bigint)
            AND (%(letter_id)s::uuid IS NULL OR t.letter_id = %(letter_id)s::uuid)
            AND (%(message_id)s = '' OR t.message_id = %(message_id)s) AND (%(sender)s = '' OR t.sender = %(sender)s)
            AND (%(recipient)s = '' OR t.recipient = %(recipient)s)
        ORDER BY t.at DESC, t.trace_id DESC LIMIT %(most)s
    ) t
    LEFT JOIN LATERAL (SELECT address FROM accounts WHERE account_id = t.account_id OFFSET 0) a ON true
    LEFT JOIN LATERAL (
        SELECT name FROM mailboxes WHERE account_id = t.account_id AND mailbox_id = t.mailbox_id OFFSET 0
    ) b ON true
    LEFT JOIN LATERAL (
        SELECT (live >> ((t.uid - 1) % 64)::integer) & 1 = 1 AS is_there FROM flag_blocks
        WHERE account_id = t.account_id AND mailbox_id = t.mailbox_id AND block = (t.uid - 1) / 64 OFFSET 0
    ) f ON true
    LEFT JOIN LATERAL (
        SELECT body_id FROM messages
        WHERE account_id = t.account_id AND mailbox_id = t.mailbox_id AND uid = t.uid OFFSET 0
    ) m ON true
    LEFT JOIN LATERAL (
        SELECT dsn FROM bodies WHERE account_id = t.account_id AND body_id = m.body_id OFFSET 0
    ) d ON true
    ORDER BY t.at DESC, t.trace_id DESC
"""


def _find(name: str, column: LiteralString) -> Statement:
    return Statement(f"traces: find by {name}", _FIND + column + _NEWEST)


# One index of traces; then primary keys of mailboxes, flag_blocks, messages and bodies.
FIND_MESSAGE_ID: Final = _find("message id", "t.message_id = %(message_id)s AND t.message_id <> ''")
FIND_ACCOUNT: Final = _find("account", "t.account_id = %(of_account)s::bigint AND t.account_id <> 0")
FIND_LETTER: Final = _find("letter", "t.letter_id = %(letter_id)s::uuid")
FIND_RECIPIENT: Final = _find("recipient", "t.recipient = %(recipient)s AND t.recipient <> ''")
FIND_SENDER: Final = _find("sender", "t.sender = %(sender)s AND t.sender <> ''")

# Primary key: the oldest, some at a time.
SWEEP: Final = Statement(
    "traces: sweep",
    """
    WITH gone AS (
        DELETE FROM traces t USING (SELECT trace_id FROM traces ORDER BY trace_id LIMIT 5000) o
        WHERE t.trace_id = o.trace_id AND t.at < %(before)s RETURNING t.trace_id
    )
    SELECT count(*) FROM gone
    """,
)
