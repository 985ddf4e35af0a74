"""SQL of deliveries: one statement that decides before it writes.

The rule: it reads nothing but the rows that it locks, and requests, where a row that its snapshot is too old to see
ends in a unique violation: the letters of that batch then run one by one. Every copy comes back with an outcome.

A plan may be older than the rows, and is kept: each table is reached by values that the statement was given, or by
LATERAL … OFFSET 0, so that no plan can join with a whole one.
"""

from typing import Final

from services.storage.transaction import Statement

# Stands in `internal_ats` for the time of the transaction; it is written out in DELIVER.
NOW: Final = -(2**62)
STORED: Final = 0
BUSY: Final = 1
NO_MAILBOX: Final = 2
OVER_QUOTA: Final = 3
CROWDED: Final = 4
SEEN: Final = 5
UNTAKEN: Final = 6
GIVEN_UP: Final = 7
UID_GIVEN: Final = 8


def _deliver(number: str, unfit: str, fits: str, runs: str, blocks: str) -> str:
    """The text of DELIVER and IMPORT.

    number: a copy's uid. unfit: WHEN of a code, and fits: that it is not so. runs: of uids that were taken.
    """
    return f"""
    WITH copies AS MATERIALIZED (
        SELECT * FROM unnest(
            %(account_ids)s::bigint[], %(mailbox_ids)s::bigint[], %(letter_nos)s::bigint[], %(pair_nos)s::bigint[],
            %(flags)s::bigint[], %(sizes)s::bigint[]
        ) WITH ORDINALITY AS c (account_id, mailbox_id, letter_no, pair_no, flags, size, copy_no)
    ), held AS MATERIALIZED (
        SELECT account_id, modseq, body_next, used_bytes, used_messages, quota_bytes, quota_messages
        FROM account_state WHERE account_id = ANY(%(accounts)s::bigint[])
        ORDER BY account_id FOR UPDATE SKIP LOCKED
    ), boxes AS MATERIALIZED (
        SELECT s.account_id, s.mailbox_id, s.uid_validity, s.uid_next, s.highest_modseq
        FROM unnest(%(box_accounts)s::bigint[], %(box_mailboxes)s::bigint[]) AS w (account_id, mailbox_id)
        CROSS JOIN LATERAL (
            SELECT * FROM mailbox_state
            WHERE account_id = w.account_id AND mailbox_id = w.mailbox_id FOR UPDATE
        ) s
        WHERE w.account_id = ANY(ARRAY(SELECT account_id FROM held))
    ), seen AS MATERIALIZED (
        SELECT p.pair_no, r.answer
        FROM unnest(%(pair_accounts)s::bigint[], %(pair_requests)s::uuid[])
            WITH ORDINALITY AS p (account_id, request_id, pair_no)
        CROSS JOIN LATERAL (
            SELECT answer FROM requests q WHERE q.account_id = p.account_id AND q.request_id = p.request_id OFFSET 0
        ) r
    ), weighed AS MATERIALIZED (
        SELECT c.copy_no, c.letter_no, c.pair_no, c.account_id, c.mailbox_id, c.flags, c.size,
            h.modseq + 1 AS modseq, h.body_next, b.uid_validity, b.uid_next, b.highest_modseq, s.answer,
            (%(are_whole)s::bigint[])[c.letter_no] = 1 AS is_whole,
            CASE
                WHEN h.account_id IS NULL THEN CASE WHEN %(is_passing)s THEN 1 ELSE 2 END
                WHEN s.pair_no IS NOT NULL THEN 5
                WHEN b.mailbox_id IS NULL THEN 2
                {unfit}
                WHEN (h.quota_bytes = 0 OR h.used_bytes + sum(c.size)
                        FILTER (WHERE b.mailbox_id IS NOT NULL AND s.pair_no IS NULL{fits})
                        OVER together <= h.quota_bytes)
                    AND (h.quota_messages = 0 OR h.used_messages + count(*)
                        FILTER (WHERE b.mailbox_id IS NOT NULL AND s.pair_no IS NULL{fits}) OVER together
                        <= h.quota_messages) THEN 0
                WHEN %(is_alone)s THEN 3
                ELSE 4
            END AS code
        FROM copies c
        LEFT JOIN held h ON h.account_id = c.account_id
        LEFT JOIN boxes b ON b.account_id = c.account_id AND b.mailbox_id = c.mailbox_id
        LEFT JOIN seen s ON s.pair_no = c.pair_no
        WINDOW together AS (PARTITION BY c.account_id ORDER BY CASE WHEN %(is_alone)s THEN c.copy_no ELSE 0 END)
    ), decided AS MATERIALIZED (
        SELECT w.*, CASE
                WHEN bool_or(code = 1) OVER letter THEN 1
                WHEN bool_or(code = 4) OVER letter THEN 4
                WHEN code = 0 AND is_whole AND bool_or(code IN (2, 3)) OVER letter THEN 6
                ELSE code
            END AS verdict
        FROM weighed w
        WINDOW letter AS (PARTITION BY letter_no)
    ), numbered AS MATERIALIZED (
        SELECT verdict, copy_no, letter_no, pair_no, account_id, mailbox_id, flags, size, modseq, uid_validity, answer,
            {number} AS uid,
            body_next + row_number() OVER (PARTITION BY verdict = 0, account_id ORDER BY copy_no) - 1 AS body_id,
            -- Whoever shares its modseq with another message of the mailbox cannot tell what else came with it.
            CASE WHEN count(*) OVER (PARTITION BY verdict = 0, account_id, mailbox_id) = 1 THEN highest_modseq
                ELSE modseq END AS previous_modseq
        FROM decided
        WINDOW box AS (PARTITION BY verdict = 0, account_id, mailbox_id ORDER BY copy_no)
    ), taken AS (
        SELECT * FROM numbered WHERE verdict = 0
    ), sums AS MATERIALIZED (
        SELECT account_id, mailbox_id, modseq, count(*) AS messages, sum(size)::bigint AS bytes,
            count(*) FILTER (WHERE flags & 1 = 0) AS unseen, count(*) FILTER (WHERE flags & 8 <> 0) AS deleted,
            {runs} AS runs, max(uid) AS last_uid
        FROM taken GROUP BY account_id, mailbox_id, modseq
    ), account_written AS (
        UPDATE account_state a SET modseq = a.modseq + 1, body_next = a.body_next + t.messages,
            used_bytes = a.used_bytes + t.bytes, used_messages = a.used_messages + t.messages
        FROM (
            SELECT account_id, sum(messages)::bigint AS messages, sum(bytes)::bigint AS bytes
            FROM sums GROUP BY account_id
        ) t WHERE a.account_id = t.account_id AND a.account_id = ANY(%(accounts)s::bigint[])
    ), boxes_written AS (
        UPDATE mailbox_state s SET uid_next = t.last_uid + 1, highest_modseq = t.modseq,
            messages = s.messages + t.messages, unseen = s.unseen + t.unseen, deleted = s.deleted + t.deleted,
            bytes = s.bytes + t.bytes
        FROM sums t WHERE s.account_id = t.account_id AND s.mailbox_id = t.mailbox_id
            AND s.account_id = ANY(%(box_accounts)s::bigint[]) AND s.mailbox_id = ANY(%(box_mailboxes)s::bigint[])
    ), bodies_written AS (
        INSERT INTO bodies (account_id, body_id, size, header, encoding, head, parts, content, upload_id, hash,
            dsn)
        SELECT account_id, body_id, size, (%(headers)s::bigint[])[letter_no], (%(encodings)s::bigint[])[letter_no],
            (%(heads)s::bytea[])[copy_no], (%(parts)s::bytea[])[letter_no], (%(contents)s::bytea[])[letter_no],
            (%(upload_ids)s::uuid[])[letter_no], (%(hashes)s::bytea[])[letter_no], (%(dsns)s::bytea[])[copy_no]
        FROM taken
    ), messages_written AS (
        INSERT INTO messages (account_id, mailbox_id, uid, body_id, size, internal_at, saved_at, structure_version,
            envelope, structure)
        SELECT account_id, mailbox_id, uid, body_id, size,
            coalesce(nullif((%(internal_ats)s::bigint[])[letter_no], -4611686018427387904),
                extract(epoch FROM now())::bigint),
            extract(epoch FROM now())::bigint, 1,
            (%(envelopes)s::bytea[])[letter_no], (%(structures)s::bytea[])[letter_no]
        FROM taken
    ), blocks_written AS (
        {blocks}
    ), changes_written AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind, runs)
        SELECT account_id, modseq, mailbox_id, 1, runs FROM sums
    ), requests_written AS (
        INSERT INTO requests (account_id, request_id, answer)
        SELECT account_id, (%(pair_requests)s::uuid[])[pair_no], array_agg(
            CASE WHEN verdict = 0 THEN ARRAY[verdict, uid_validity, uid, modseq, previous_modseq]
                ELSE ARRAY[verdict, 0, 0, 0, 0] END ORDER BY copy_no)
        FROM numbered
        WHERE verdict IN (0, 2, 3) GROUP BY account_id, pair_no HAVING bool_or(verdict = 0)
    ), uploads_named AS (
        DELETE FROM uploads WHERE upload_id = ANY(
            ARRAY(SELECT (%(upload_ids)s::uuid[])[letter_no] FROM taken WHERE %(has_uploads)s))
    )
    SELECT verdict, uid_validity, uid, modseq, previous_modseq, pair_no, answer FROM numbered ORDER BY copy_no
    """


_BLOCKS: Final = """
        INSERT INTO flag_blocks AS f (account_id, mailbox_id, block, live, flags, modseqs, sizes)
        SELECT account_id, mailbox_id, (uid - 1) / 64, bit_or(1::bigint << ((uid - 1) %% 64)::integer),
            array_agg(flags ORDER BY uid), array_agg(modseq ORDER BY uid), array_agg(size ORDER BY uid)
        FROM taken GROUP BY account_id, mailbox_id, (uid - 1) / 64
        ON CONFLICT (account_id, mailbox_id, block) DO UPDATE SET live = f.live | EXCLUDED.live,
            flags = f.flags || EXCLUDED.flags, modseqs = f.modseqs || EXCLUDED.modseqs,
            sizes = f.sizes || EXCLUDED.sizes
"""
# As above, where uids have gaps: element (uid - 1) % 64 + 1 is the message's, and whatever lies between is dead.
_SPARSE_BLOCKS: Final = """
        INSERT INTO flag_blocks AS f (account_id, mailbox_id, block, live, flags, modseqs, sizes)
        SELECT b.account_id, b.mailbox_id, b.block,
            bit_or(CASE WHEN t.uid IS NULL THEN 0 ELSE 1::bigint << ((t.uid - 1) %% 64)::integer END),
            array_agg(coalesce(t.flags, 0) ORDER BY e.uid), array_agg(coalesce(t.modseq, 0) ORDER BY e.uid),
            array_agg(coalesce(t.size, 0) ORDER BY e.uid)
        FROM (
            SELECT account_id, mailbox_id, (uid - 1) / 64 AS block, max(uid) AS last_uid
            FROM taken GROUP BY account_id, mailbox_id, (uid - 1) / 64
        ) b
        CROSS JOIN LATERAL generate_series(b.block * 64 + 1, b.last_uid) AS e (uid)
        LEFT JOIN taken t ON t.uid = e.uid
        GROUP BY b.account_id, b.mailbox_id, b.block
        ON CONFLICT (account_id, mailbox_id, block) DO UPDATE SET live = f.live | EXCLUDED.live,
            flags = f.flags || EXCLUDED.flags[cardinality(f.flags) + 1:],
            modseqs = f.modseqs || EXCLUDED.modseqs[cardinality(f.modseqs) + 1:],
            sizes = f.sizes || EXCLUDED.sizes[cardinality(f.sizes) + 1:]
"""

# Locks account_state by its primary key, in its order, passing over busy ones; then mailbox_state by its own,
# in the order in which they are given.
# is_passing: an account that is not held is busy (1), else it does not exist (2).
# is_alone: what does not fit is over quota (3), else the letter leaves the batch to be decided alone (4).
DELIVER: Final = Statement(
    "deliver",
    _deliver(
        number="uid_next + row_number() OVER box - 1",
        unfit="",
        fits="",
        runs="int8multirange(int8range(min(uid), max(uid) + 1))",
        blocks=_BLOCKS,
    ),
)

# As DELIVER, for letters of one mailbox whose uids are given and rise: one that was given already is refused (8).
IMPORT: Final = Statement(
    "import",
    _deliver(
        number="(%(uids)s::bigint[])[copy_no]",
        unfit="WHEN (%(uids)s::bigint[])[c.copy_no] < b.uid_next THEN 8",
        fits=" AND (%(uids)s::bigint[])[c.copy_no] >= b.uid_next",
        runs="range_agg(int8range(uid, uid + 1))",
        blocks=_SPARSE_BLOCKS,
    ),
)

# Primary key of requests. Locked by account_state: whoever delivers under this id has committed, or will see this row.
# copies: of each account, as many as are answered.
SETTLE: Final = Statement(
    "settle",
    """
    WITH pairs AS (
        SELECT * FROM unnest(%(accounts)s::bigint[], %(copies)s::bigint[]) AS p (account_id, copies)
    ), seen AS MATERIALIZED (
        SELECT p.account_id, r.answer FROM pairs p
        CROSS JOIN LATERAL (
            SELECT answer FROM requests WHERE account_id = p.account_id AND request_id = %(request_id)s OFFSET 0
        ) r
    ), given_up AS (
        INSERT INTO requests (account_id, request_id, answer)
        SELECT p.account_id, %(request_id)s, array_agg(ARRAY[7, 0, 0, 0, 0]::bigint[])
        FROM pairs p
        CROSS JOIN LATERAL (SELECT FROM account_state WHERE account_id = p.account_id OFFSET 0) a
        CROSS JOIN generate_series(1, p.copies)
        WHERE NOT EXISTS (SELECT FROM seen s WHERE s.account_id = p.account_id) GROUP BY p.account_id
    )
    SELECT account_id, answer FROM seen
    """,
)
