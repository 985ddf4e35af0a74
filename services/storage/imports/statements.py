"""SQL of imports, beside DELIVER and IMPORT, which add the messages.

The rule: whatever is written here is written in the transaction of what it belongs to, under the account's lock.
"""

from typing import Final

from services.storage.transaction import Statement

# Primary keys of mailbox_state (a range by account) and account_state. Locked by account_state. As the mailbox never
# held a message, nobody was told a uid of it; sessions that have it open learn of the new number when they select. So
# another one that has the number by chance, and never held a message either, gets a new one.
RENUMBER: Final = Statement(
    "renumber mailbox",
    """
    WITH box AS MATERIALIZED (
        SELECT s.uid_validity, s.uid_next = 1 AS is_fresh, a.modseq + 1 AS modseq,
            greatest(a.last_uid_validity, %(uid_validity)s) AS last, EXISTS (
                SELECT FROM mailbox_state o WHERE o.account_id = %(account_id)s
                    AND o.uid_validity = %(uid_validity)s AND o.uid_next > 1
            ) AS is_used
        FROM mailbox_state s JOIN account_state a USING (account_id)
        WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    ), going AS MATERIALIZED (
        SELECT modseq, last FROM box WHERE is_fresh AND NOT is_used AND uid_validity <> %(uid_validity)s
    ), others AS MATERIALIZED (
        SELECT s.mailbox_id, g.last + 1 AS uid_validity, g.modseq FROM mailbox_state s, going g
        WHERE s.account_id = %(account_id)s AND s.uid_validity = %(uid_validity)s
    ), others_written AS (
        UPDATE mailbox_state s SET uid_validity = o.uid_validity, highest_modseq = o.modseq FROM others o
        WHERE s.account_id = %(account_id)s AND s.mailbox_id = o.mailbox_id
    ), written AS (
        UPDATE mailbox_state s SET uid_validity = %(uid_validity)s, highest_modseq = g.modseq FROM going g
        WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    ), account_written AS (
        UPDATE account_state a SET modseq = g.modseq,
            last_uid_validity = g.last + (SELECT count(*) FROM others)
        FROM going g WHERE a.account_id = %(account_id)s
    ), logged AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind)
        SELECT %(account_id)s, modseq, %(mailbox_id)s, 7 FROM going
        UNION ALL SELECT %(account_id)s, modseq, mailbox_id, 7 FROM others
    )
    SELECT uid_validity = %(uid_validity)s, is_fresh, is_used FROM box
    """,
)

# Primary keys of mailbox_state and flag_blocks. Locked by account_state. The block of uid_next has an element for each
# uid before it, so that the next message finds its place at the end.
SKIP_UIDS: Final = Statement(
    "skip uids",
    """
    WITH box AS MATERIALIZED (
        SELECT uid_next < %(uid_next)s AS is_below FROM mailbox_state
        WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s
    ), padded AS (
        INSERT INTO flag_blocks AS f (account_id, mailbox_id, block, live, flags, modseqs, sizes)
        SELECT %(account_id)s, %(mailbox_id)s, %(block)s, 0, %(dead)s::bigint[], %(dead)s::bigint[], %(dead)s::bigint[]
        FROM box WHERE is_below AND cardinality(%(dead)s::bigint[]) > 0
        ON CONFLICT (account_id, mailbox_id, block) DO UPDATE SET
            flags = f.flags || EXCLUDED.flags[cardinality(f.flags) + 1:],
            modseqs = f.modseqs || EXCLUDED.modseqs[cardinality(f.modseqs) + 1:],
            sizes = f.sizes || EXCLUDED.sizes[cardinality(f.sizes) + 1:]
    ), raised AS (
        UPDATE mailbox_state SET uid_next = %(uid_next)s
        WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s AND uid_next < %(uid_next)s
    )
    SELECT is_below FROM box
    """,
)

# Primary key of requests. What was imported is remembered for good: an import may be done again after months.
KEEP_KEYS: Final = Statement(
    "keep import keys",
    """
    UPDATE requests SET at = 'infinity'
    WHERE account_id = %(account_id)s AND request_id = ANY(%(keys)s::uuid[])
    """,
)

# Primary keys of requests and unique_ids. Of those that were taken.
KEEP_UNIQUE_IDS: Final = Statement(
    "keep unique ids",
    """
    INSERT INTO unique_ids (account_id, mailbox_id, uid, unique_id)
    SELECT %(account_id)s, %(mailbox_id)s, k.uid, k.unique_id
    FROM unnest(%(keys)s::uuid[], %(uids)s::bigint[], %(unique_ids)s::text[]) AS k (key, uid, unique_id)
    CROSS JOIN LATERAL (
        SELECT answer FROM requests WHERE account_id = %(account_id)s AND request_id = k.key OFFSET 0
    ) r
    WHERE r.answer[1][1] = 0 AND r.answer[1][3] = k.uid
    ON CONFLICT DO NOTHING
    """,
)

# Primary key of requests.
FIND_TAKEN: Final = Statement(
    "find taken",
    """
    SELECT request_id FROM requests
    WHERE account_id = %(account_id)s AND request_id = ANY(%(keys)s::uuid[]) AND answer[1][1] = 0
    """,
)

# Primary key of unique_ids (a range).
UNIQUE_IDS: Final = Statement(
    "unique ids",
    """
    SELECT uid, unique_id FROM unique_ids
    WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s AND uid > %(after_uid)s
    ORDER BY uid LIMIT %(limit)s
    """,
)
