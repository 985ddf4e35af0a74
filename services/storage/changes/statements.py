"""SQL of the change log. It is append only: a page read once is never read otherwise."""

from typing import Final

from services.storage.transaction import Statement

# Primary keys of account_state and changes; a page of each account, by LATERAL. WITH TIES: never part of a modseq.
# One snapshot: rows that the floor has passed are not missed in silence.
READ: Final = Statement(
    "read changes",
    """
    SELECT w.account_id, s.log_floor, s.modseq, c.modseq, c.mailbox_id, c.kind, c.runs
    FROM unnest(%(accounts)s::bigint[], %(sinces)s::bigint[]) AS w (account_id, since)
    CROSS JOIN LATERAL (SELECT * FROM account_state a WHERE a.account_id = w.account_id OFFSET 0) s
    LEFT JOIN LATERAL (
        SELECT modseq, mailbox_id, kind, runs FROM changes
        WHERE account_id = w.account_id AND modseq > w.since
        ORDER BY modseq FETCH FIRST %(limit)s ROWS WITH TIES
    ) c ON true
    ORDER BY w.account_id, c.modseq, c.mailbox_id, c.kind
    """,
)

# Primary key of account_state.
MODSEQS: Final = Statement(
    "read modseqs",
    "SELECT account_id, modseq FROM account_state WHERE account_id = ANY(%(accounts)s::bigint[])",
)
