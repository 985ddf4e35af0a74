"""SQL that changes messages. Sets of uids travel as blocks and masks of 64 bits.

The rule: each statement runs after its account's lock, in a snapshot of its own, and writes nothing where nothing
changes. (Whoever holds the account may update mailbox_state without a lock of its own: first_recent alone is written by
others. And a block stays where it was read, at its ctid, until its account is let go: the shortest way back to it,
whatever the planner believes of the table.)
"""

from typing import Final

from services.storage.transaction import Statement

# Primary key of flag_blocks, once for each block. Locked by account_state.
STORE: Final = Statement(
    "store flags",
    """
    WITH box AS MATERIALIZED (
        SELECT s.highest_modseq, a.modseq + 1 AS modseq FROM mailbox_state s JOIN account_state a USING (account_id)
        WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    ), seen AS MATERIALIZED (
        SELECT answer FROM requests
        WHERE account_id = %(account_id)s AND request_id = %(request_id)s::uuid
    ), found AS MATERIALIZED (
        SELECT b.place, b.block, b.flags, b.modseqs, b.more_keywords, b.live & a.mask AS asked, h.hit
        FROM unnest(%(blocks)s::bigint[], %(masks)s::bigint[]) AS a (block, mask)
        CROSS JOIN LATERAL (
            SELECT f.ctid AS place, f.* FROM flag_blocks f
            WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s AND f.block = a.block OFFSET 0
        ) b
        CROSS JOIN LATERAL (
            SELECT b.live & a.mask & CASE WHEN EXISTS (SELECT FROM seen) THEN 0
                WHEN %(unchanged_since)s::bigint IS NULL THEN -1
                ELSE (
                    SELECT coalesce(bit_or(1::bigint << (i - 1)::integer), 0)
                    FROM unnest(b.modseqs) WITH ORDINALITY AS u (modseq, i)
                    WHERE modseq <= %(unchanged_since)s::bigint
                ) END AS hit
        ) h
        WHERE b.live & a.mask <> 0
    ), more AS MATERIALIZED (
        SELECT f.block, m.fresh, m.changed
        FROM found f CROSS JOIN LATERAL (
            SELECT jsonb_object_agg(number, new) FILTER (WHERE new <> 0) AS fresh, bit_or(old # new) AS changed
            FROM (
                SELECT number, old, CASE
                    WHEN number = ANY(%(set_more)s::bigint[]) THEN old | f.hit
                    WHEN %(clears_all)s OR number = ANY(%(clear_more)s::bigint[]) THEN old & ~f.hit
                    ELSE old END AS new
                FROM (
                    SELECT number, bit_or(mask) AS old FROM (
                        SELECT key::bigint AS number, value::bigint AS mask
                        FROM jsonb_each_text(coalesce(f.more_keywords, '{}'))
                        UNION ALL SELECT number, 0 FROM unnest(%(set_more)s::bigint[]) AS n (number)
                    ) both_sides GROUP BY number
                ) olds
            ) news
        ) m
        WHERE f.more_keywords IS NOT NULL OR cardinality(%(set_more)s::bigint[]) > 0
    ), fresh AS MATERIALIZED (
        SELECT f.place, f.block, f.asked, f.hit, e.*,
            CASE WHEN m.block IS NULL THEN f.more_keywords ELSE m.fresh END AS more
        FROM found f LEFT JOIN more m ON m.block = f.block CROSS JOIN box
        CROSS JOIN LATERAL (
            SELECT array_agg(new) AS flags,
                array_agg(CASE WHEN is_changed THEN box.modseq ELSE modseq END) AS modseqs,
                coalesce(bit_or(CASE WHEN is_changed THEN 1::bigint << (i - 1)::integer END), 0) AS changed,
                coalesce(sum((old & 1) - (new & 1)), 0)::bigint AS unseen,
                coalesce(sum(((new & 8) - (old & 8)) / 8), 0)::bigint AS deleted
            FROM (
                SELECT i, old, modseq, new,
                    new <> old OR (coalesce(m.changed, 0) >> (i - 1)::integer) & 1 = 1 AS is_changed
                FROM (
                    SELECT i, old, modseq, CASE WHEN (f.hit >> (i - 1)::integer) & 1 = 1
                        THEN (old & ~(%(clear)s::bigint)) | %(set)s::bigint ELSE old END AS new
                    FROM unnest(f.flags, f.modseqs) WITH ORDINALITY AS u (old, modseq, i)
                ) changing
            ) elements
        ) e
    ), total AS MATERIALIZED (
        SELECT sum(unseen)::bigint AS unseen, sum(deleted)::bigint AS deleted,
            range_agg(int8range(block * 64 + 1, block * 64 + 65)) AS runs
        FROM fresh WHERE changed <> 0 HAVING count(*) > 0
    ), blocks_written AS (
        UPDATE flag_blocks f SET flags = n.flags, modseqs = n.modseqs, more_keywords = n.more
        FROM fresh n WHERE n.changed <> 0 AND f.account_id = %(account_id)s AND f.ctid = n.place
    ), account_written AS (
        UPDATE account_state SET modseq = modseq + 1
        WHERE account_id = %(account_id)s AND EXISTS (SELECT FROM total)
    ), box_written AS (
        UPDATE mailbox_state s SET highest_modseq = box.modseq, unseen = s.unseen + t.unseen,
            deleted = s.deleted + t.deleted
        FROM total t, box WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    ), changes_written AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind, runs)
        SELECT %(account_id)s, box.modseq, %(mailbox_id)s, 2, t.runs FROM total t, box
    ), request_written AS (
        INSERT INTO requests (account_id, request_id, answer)
        SELECT %(account_id)s, %(request_id)s::uuid, ARRAY[ARRAY[box.highest_modseq, box.modseq, 0]]
            || (SELECT array_agg(ARRAY[block, changed, asked & ~hit]) FROM fresh)
        FROM box WHERE %(request_id)s::uuid IS NOT NULL AND EXISTS (SELECT FROM total)
    )
    SELECT box.highest_modseq,
        CASE WHEN EXISTS (SELECT FROM total) THEN box.modseq ELSE box.highest_modseq END,
        (SELECT answer FROM seen), f.block, f.asked, f.changed, f.asked & ~f.hit, f.flags, f.modseqs, f.more
    FROM box LEFT JOIN fresh f ON true ORDER BY f.block
    """,
)

# Primary key of flag_blocks for the blocks that are read, of messages once for each message. Locked by account_state.
# Without blocks, everything that lives is copied.
COPY: Final = Statement(
    "copy",
    """
    WITH source AS MATERIALIZED (
        SELECT 1 FROM mailbox_state WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s
    ), target AS MATERIALIZED (
        SELECT s.mailbox_id, s.uid_validity, s.uid_next, a.modseq + 1 AS modseq,
            a.used_bytes, a.used_messages, a.quota_bytes, a.quota_messages
        FROM mailboxes b JOIN mailbox_state s USING (account_id, mailbox_id) JOIN account_state a USING (account_id)
        WHERE b.account_id = %(account_id)s AND b.name = %(target)s AND EXISTS (SELECT FROM source)
    ), seen AS MATERIALIZED (
        SELECT answer FROM requests WHERE account_id = %(account_id)s AND request_id = %(request_id)s::uuid
    ), found AS MATERIALIZED (
        SELECT b.block, b.flags, b.sizes, b.more_keywords, b.live & a.mask AS hit
        FROM unnest(%(blocks)s::bigint[], %(masks)s::bigint[]) AS a (block, mask)
        CROSS JOIN LATERAL (
            SELECT f.ctid AS place, f.* FROM flag_blocks f
            WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s AND f.block = a.block OFFSET 0
        ) b
        WHERE b.live & a.mask <> 0 AND NOT EXISTS (SELECT FROM seen)
        UNION ALL
        SELECT block, flags, sizes, more_keywords, live FROM flag_blocks
        WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s AND live <> 0 AND %(is_all)s
            AND NOT EXISTS (SELECT FROM seen)
    ), chosen AS MATERIALIZED (
        SELECT f.block, u.i, f.block * 64 + u.i AS uid, u.flags, u.size,
            row_number() OVER (ORDER BY f.block, u.i) - 1 AS place
        FROM found f CROSS JOIN LATERAL unnest(f.flags, f.sizes) WITH ORDINALITY AS u (flags, size, i)
        WHERE (f.hit >> (u.i - 1)::integer) & 1 = 1
    ), total AS MATERIALIZED (
        SELECT count(*) AS messages, coalesce(sum(size), 0)::bigint AS bytes,
            count(*) FILTER (WHERE flags & 1 = 0) AS unseen, count(*) FILTER (WHERE flags & 8 <> 0) AS deleted
        FROM chosen
    ), fit AS MATERIALIZED (
        SELECT t.*, n.messages, n.bytes, n.unseen, n.deleted FROM target t, total n
        WHERE n.messages > 0
            AND (t.quota_bytes = 0 OR %(is_moving)s OR t.used_bytes + n.bytes <= t.quota_bytes)
            AND (t.quota_messages = 0 OR %(is_moving)s OR t.used_messages + n.messages <= t.quota_messages)
    ), numbered AS MATERIALIZED (
        SELECT c.block, c.i, c.uid, c.flags, c.size, f.mailbox_id, f.modseq, f.uid_next + c.place AS new_uid
        FROM chosen c, fit f
    ), messages_written AS (
        INSERT INTO messages (account_id, mailbox_id, uid, body_id, size, internal_at, saved_at, thread_id,
            structure_version, envelope, structure, preview)
        SELECT %(account_id)s, n.mailbox_id, n.new_uid, m.body_id, m.size, m.internal_at,
            extract(epoch FROM now())::bigint, m.thread_id, m.structure_version, m.envelope, m.structure, m.preview
        FROM numbered n CROSS JOIN LATERAL (
            SELECT * FROM messages s WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
                AND s.uid = n.uid OFFSET 0
        ) m
        RETURNING body_id
    ), shares_written AS (
        INSERT INTO body_shares AS s (account_id, body_id, copies)
        SELECT %(account_id)s, body_id, count(*) FROM messages_written GROUP BY body_id
        ON CONFLICT (account_id, body_id) DO UPDATE SET copies = s.copies + EXCLUDED.copies
    ), more AS (
        SELECT block, jsonb_object_agg(number, mask) AS more FROM (
            SELECT (n.new_uid - 1) / 64 AS block, k.key AS number,
                bit_or(1::bigint << ((n.new_uid - 1) %% 64)::integer) AS mask
            FROM numbered n JOIN found f ON f.block = n.block AND f.more_keywords IS NOT NULL
            CROSS JOIN LATERAL jsonb_each_text(f.more_keywords) k
            WHERE (k.value::bigint >> (n.i - 1)::integer) & 1 = 1 GROUP BY 1, 2
        ) masks GROUP BY block
    ), blocks_written AS (
        INSERT INTO flag_blocks AS f (account_id, mailbox_id, block, live, flags, modseqs, sizes, more_keywords)
        SELECT %(account_id)s, b.mailbox_id, b.block, b.live, b.flags, b.modseqs, b.sizes, m.more FROM (
            SELECT mailbox_id, (new_uid - 1) / 64 AS block,
                bit_or(1::bigint << ((new_uid - 1) %% 64)::integer) AS live, array_agg(flags ORDER BY new_uid) AS flags,
                array_agg(modseq ORDER BY new_uid) AS modseqs, array_agg(size ORDER BY new_uid) AS sizes
            FROM numbered GROUP BY mailbox_id, (new_uid - 1) / 64
        ) b LEFT JOIN more m ON m.block = b.block
        ON CONFLICT (account_id, mailbox_id, block) DO UPDATE SET live = f.live | EXCLUDED.live,
            flags = f.flags || EXCLUDED.flags, modseqs = f.modseqs || EXCLUDED.modseqs,
            sizes = f.sizes || EXCLUDED.sizes,
            more_keywords = CASE WHEN EXCLUDED.more_keywords IS NULL THEN f.more_keywords ELSE (
                SELECT jsonb_object_agg(number, mask) FROM (
                    SELECT key AS number, bit_or(value::bigint) AS mask FROM (
                        SELECT * FROM jsonb_each_text(coalesce(f.more_keywords, '{}'))
                        UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.more_keywords)
                    ) both_sides GROUP BY key
                ) merged
            ) END
    ), account_written AS (
        UPDATE account_state a SET modseq = a.modseq + 1, used_bytes = a.used_bytes + f.bytes,
            used_messages = a.used_messages + f.messages
        FROM fit f WHERE a.account_id = %(account_id)s
    ), box_written AS (
        UPDATE mailbox_state s SET uid_next = s.uid_next + f.messages, highest_modseq = f.modseq,
            messages = s.messages + f.messages, unseen = s.unseen + f.unseen, deleted = s.deleted + f.deleted,
            bytes = s.bytes + f.bytes
        FROM fit f WHERE s.account_id = %(account_id)s AND s.mailbox_id = f.mailbox_id
    ), changes_written AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind, runs)
        SELECT %(account_id)s, modseq, mailbox_id, 1,
            int8multirange(int8range(uid_next, uid_next + messages)) FROM fit
    ), request_written AS (
        INSERT INTO requests (account_id, request_id, answer)
        SELECT %(account_id)s, %(request_id)s::uuid, ARRAY[ARRAY[f.uid_validity, f.uid_next, f.messages]]
            || (SELECT array_agg(ARRAY[block, hit, 0] ORDER BY block) FROM found)
        FROM fit f WHERE %(request_id)s::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM seen)
    )
    SELECT t.uid_validity, t.uid_next, n.messages, EXISTS (SELECT FROM fit) OR n.messages = 0 AS fits,
        (SELECT answer FROM seen), (SELECT array_agg(block ORDER BY block) FROM found),
        (SELECT array_agg(hit ORDER BY block) FROM found)
    FROM target t, total n
    """,
)

# Primary key of flag_blocks for the blocks that are read. Locked by account_state; pop3_locks by its primary key.
# Without blocks, everything that lives is looked at; nothing, where nothing has \Deleted.
EXPUNGE: Final = Statement(
    "expunge",
    """
    WITH held AS MATERIALIZED (
        SELECT 1 FROM pop3_locks WHERE account_id = %(account_id)s AND epoch = %(epoch)s
            AND lease_until > clock_timestamp() FOR SHARE
    ), box AS MATERIALIZED (
        SELECT s.highest_modseq, s.deleted, a.modseq + 1 AS modseq
        FROM mailbox_state s JOIN account_state a USING (account_id)
        WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    ), seen AS MATERIALIZED (
        SELECT answer FROM requests
        WHERE account_id = %(account_id)s AND request_id = %(request_id)s::uuid
    ), may AS MATERIALIZED (
        SELECT 1 FROM box WHERE (%(epoch)s = 0 OR EXISTS (SELECT FROM held))
            AND (%(even_undeleted)s OR deleted > 0) AND NOT EXISTS (SELECT FROM seen)
    ), found AS MATERIALIZED (
        SELECT b.place, b.block, b.flags, b.sizes, b.live & a.mask AS asked
        FROM unnest(%(blocks)s::bigint[], %(masks)s::bigint[]) AS a (block, mask)
        CROSS JOIN LATERAL (
            SELECT f.ctid AS place, f.* FROM flag_blocks f
            WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s AND f.block = a.block OFFSET 0
        ) b
        WHERE b.live & a.mask <> 0 AND EXISTS (SELECT FROM may)
        UNION ALL
        SELECT ctid, block, flags, sizes, live FROM flag_blocks
        WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s AND live <> 0 AND %(is_all)s
            AND EXISTS (SELECT FROM may)
    ), gone AS MATERIALIZED (
        SELECT f.place, f.block, e.* FROM found f CROSS JOIN LATERAL (
            SELECT bit_or(1::bigint << (i - 1)::integer) AS hit, count(*) AS messages, sum(size)::bigint AS bytes,
                count(*) FILTER (WHERE flags & 1 = 0) AS unseen, count(*) FILTER (WHERE flags & 8 <> 0) AS deleted,
                range_agg(int8range(f.block * 64 + i, f.block * 64 + i + 1)) AS runs
            FROM unnest(f.flags, f.sizes) WITH ORDINALITY AS u (flags, size, i)
            WHERE (f.asked >> (i - 1)::integer) & 1 = 1 AND (%(even_undeleted)s OR flags & 8 <> 0)
        ) e WHERE e.hit IS NOT NULL
    ), total AS MATERIALIZED (
        SELECT range_agg(piece) AS runs FROM gone CROSS JOIN LATERAL unnest(runs) AS p (piece) HAVING count(*) > 0
    ), sums AS MATERIALIZED (
        SELECT sum(messages)::bigint AS messages, sum(bytes)::bigint AS bytes, sum(unseen)::bigint AS unseen,
            sum(deleted)::bigint AS deleted FROM gone HAVING count(*) > 0
    ), blocks_written AS (
        UPDATE flag_blocks f SET live = f.live & ~g.hit FROM gone g
        WHERE f.account_id = %(account_id)s AND f.ctid = g.place
    ), account_written AS (
        UPDATE account_state a SET modseq = a.modseq + 1, used_bytes = a.used_bytes - t.bytes,
            used_messages = a.used_messages - t.messages
        FROM sums t WHERE a.account_id = %(account_id)s
    ), box_written AS (
        UPDATE mailbox_state s SET highest_modseq = box.modseq, messages = s.messages - t.messages,
            unseen = s.unseen - t.unseen, deleted = s.deleted - t.deleted, bytes = s.bytes - t.bytes
        FROM sums t, box WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    ), changes_written AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind, runs)
        SELECT %(account_id)s, box.modseq, %(mailbox_id)s, 3, t.runs FROM total t, box
    ), expunged_written AS (
        INSERT INTO expunged (account_id, mailbox_id, modseq, runs)
        SELECT %(account_id)s, %(mailbox_id)s, box.modseq, t.runs FROM total t, box
    ), request_written AS (
        INSERT INTO requests (account_id, request_id, answer)
        SELECT %(account_id)s, %(request_id)s::uuid, ARRAY[ARRAY[box.highest_modseq, box.modseq]]
            || (SELECT array_agg(ARRAY[block, hit]) FROM gone)
        FROM sums, box WHERE %(request_id)s::uuid IS NOT NULL
    )
    SELECT box.highest_modseq,
        CASE WHEN EXISTS (SELECT FROM sums) THEN box.modseq ELSE box.highest_modseq END,
        %(epoch)s = 0 OR EXISTS (SELECT FROM held),
        (SELECT array_agg(block ORDER BY block) FROM gone), (SELECT array_agg(hit ORDER BY block) FROM gone),
        (SELECT answer FROM seen)
    FROM box
    """,
)

# Primary key of requests, then those of EXPUNGE. After COPY in its transaction: what its request says that it copied
# goes, and nothing else, whatever else these uids name by now.
MOVE_AWAY: Final = Statement(
    "move away",
    EXPUNGE.text.replace(
        "unnest(%(blocks)s::bigint[], %(masks)s::bigint[]) AS a (block, mask)",
        """(
            SELECT r.answer[n][1] AS block, r.answer[n][2] AS mask
            FROM requests r CROSS JOIN LATERAL generate_series(2, array_length(r.answer, 1)) AS s (n)
            WHERE r.account_id = %(account_id)s AND r.request_id = %(moved_by)s::uuid
        ) a""",
    ),
)

# Primary keys of requests and flag_blocks. Locked by account_state; after DELIVER in its transaction.
ADD_MORE_KEYWORDS: Final = Statement(
    "add more keywords",
    """
    UPDATE flag_blocks f SET more_keywords = (
        SELECT jsonb_object_agg(number, mask) FROM (
            SELECT number, bit_or(mask) AS mask FROM (
                SELECT key::bigint AS number, value::bigint AS mask
                FROM jsonb_each_text(coalesce(f.more_keywords, '{}'))
                UNION ALL SELECT number, 1::bigint << ((r.uid - 1) %% 64)::integer
                FROM unnest(%(numbers)s::bigint[]) AS n (number)
            ) both_sides GROUP BY number
        ) merged
    )
    FROM (
        SELECT answer[%(ordinal)s][3] AS uid FROM requests
        WHERE account_id = %(account_id)s AND request_id = %(request_id)s AND answer[%(ordinal)s][1] = 0
    ) r
    WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s AND f.block = (r.uid - 1) / 64
    """,
)
