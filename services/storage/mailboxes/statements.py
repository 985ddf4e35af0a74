"""SQL of mailboxes. Whatever builds a view is one statement, so that counters and live uids share a snapshot.

The rule: create, delete and rename run after their account's lock, in a snapshot of their own; outcomes are rows.
"""

from typing import Final

from services.storage.messages.changing import COPY, EXPUNGE
from services.storage.transaction import Statement

_MAILBOX: Final = "b.mailbox_id, b.name, s.uid_validity, b.special_use, b.object_id"
_STATUS: Final = "s.uid_next, s.highest_modseq, s.first_recent, s.messages, s.unseen, s.deleted, s.bytes"

# What a listing reads of: a range of names, of mailboxes and of subscriptions, in one snapshot.
_LISTED: Final = """
    u.name FROM (
        SELECT * FROM mailboxes WHERE account_id = %(account_id)s AND name >= %(first)s AND name < %(end)s
    ) b JOIN mailbox_state s USING (account_id, mailbox_id)
    FULL JOIN (
        SELECT name FROM subscriptions WHERE account_id = %(account_id)s AND name >= %(first)s AND name < %(end)s
    ) u ON u.name = b.name
    ORDER BY coalesce(b.name, u.name)
"""
# Index mailboxes_by_name (a range), primary keys of mailbox_state and subscriptions (a range).
LIST: Final = Statement("list mailboxes", f"SELECT {_MAILBOX}, {_LISTED}")
LIST_STATUSES: Final = Statement("list statuses", f"SELECT {_MAILBOX}, {_STATUS}, {_LISTED}")

# Primary key of subscriptions, counted; those who subscribe at once may each take the last place.
SUBSCRIBE: Final = Statement(
    "subscribe",
    """
    WITH now_there AS MATERIALIZED (
        SELECT count(*) < %(limit)s AS has_room, coalesce(bool_or(name = %(name)s), false) AS is_there
        FROM subscriptions WHERE account_id = %(account_id)s
    ), written AS (
        INSERT INTO subscriptions (account_id, name) SELECT %(account_id)s, %(name)s FROM now_there WHERE has_room
        ON CONFLICT DO NOTHING
    )
    SELECT has_room OR is_there FROM now_there
    """,
)
# Primary key of subscriptions.
UNSUBSCRIBE: Final = Statement(
    "unsubscribe", "DELETE FROM subscriptions WHERE account_id = %(account_id)s AND name = %(name)s"
)

# Index mailboxes_by_name, primary key of mailbox_state.
STATUS: Final = Statement(
    "status",
    f"""
    SELECT {_MAILBOX}, {_STATUS} FROM mailboxes b JOIN mailbox_state s USING (account_id, mailbox_id)
    WHERE b.account_id = %(account_id)s AND b.name = %(name)s
    """,
)

# Blocks of flags at either end of a mailbox in which the first message without \\Seen is looked for: 512 uids.
_END_BLOCKS: Final = 8


def _unseen(answer: str, order: str) -> str:
    """What is true of the messages without \\Seen in the blocks at one end."""
    return f"""(
        SELECT {answer} FROM (
            SELECT f.block, f.live, f.flags FROM flag_blocks f
            WHERE f.account_id = %(account_id)s AND f.mailbox_id = b.mailbox_id AND f.live <> 0
            ORDER BY f.block {order} LIMIT {_END_BLOCKS}
        ) e CROSS JOIN LATERAL (
            SELECT e.block * 64 + i AS uid FROM unnest(e.flags) WITH ORDINALITY AS u (flags, i)
            WHERE flags & 1 = 0 AND (e.live >> (i - 1)::integer) & 1 = 1
        ) u
    )"""


# Index mailboxes_by_name; primary keys of mailbox_state, flag_blocks (ranges) and keywords. The first unseen message is
# the lowest of the newest, where those are all that there are, or else the lowest of the oldest.
OPEN: Final = Statement(
    "open",
    f"""
    SELECT {_MAILBOX}, {_STATUS}, f.blocks, f.masks,
        ARRAY(SELECT name FROM keywords k WHERE k.account_id = %(account_id)s ORDER BY number),
        CASE WHEN s.unseen > 0 THEN coalesce(
            {_unseen("CASE WHEN count(*) = s.unseen THEN min(uid) END", "DESC")}, {_unseen("min(uid)", "ASC")}
        ) END
    FROM mailboxes b JOIN mailbox_state s USING (account_id, mailbox_id)
    CROSS JOIN LATERAL (
        SELECT array_agg(block) AS blocks, array_agg(live) AS masks FROM (
            SELECT block, live FROM flag_blocks f
            WHERE f.account_id = %(account_id)s AND f.mailbox_id = b.mailbox_id AND f.live <> 0 ORDER BY block
        ) lives
    ) f
    WHERE b.account_id = %(account_id)s AND b.name = %(name)s
    """,
)

# Locks one row of mailbox_state and waits for nothing else.
CLAIM_RECENT: Final = Statement(
    "claim recent",
    """
    WITH held AS MATERIALIZED (
        SELECT first_recent, least(uid_next, %(uid_next)s) AS uid_next FROM mailbox_state
        WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s FOR UPDATE
    ), claimed AS (
        UPDATE mailbox_state s SET first_recent = held.uid_next FROM held
        WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s AND held.first_recent < held.uid_next
    )
    SELECT least(first_recent, %(uid_next)s) FROM held
    """,
)

# Primary key of mailbox_state.
HIGHEST_MODSEQ: Final = Statement(
    "highest modseq",
    """
    SELECT highest_modseq FROM mailbox_state WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s
    """,
)

# Primary keys of mailbox_state and account_state; index changes_by_mailbox (a range); primary key of flag_blocks, once
# for each block that the log names, and a range from uid_next on.
SYNC: Final = Statement(
    "sync",
    f"""
    WITH log AS MATERIALIZED (
        SELECT kind, runs FROM changes
        WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s AND modseq > %(since)s
    ), touched AS MATERIALIZED (
        SELECT DISTINCT generate_series((lower(r) - 1) / 64, (upper(r) - 2) / 64) AS block
        FROM log CROSS JOIN LATERAL unnest(runs * int8multirange(int8range(1, %(uid_next)s))) AS u (r)
        WHERE kind IN (1, 2)
    ), flagged AS MATERIALIZED (
        SELECT f.block, f.more_keywords, e.uid, e.flags, e.modseq
        FROM touched t CROSS JOIN LATERAL (
            SELECT * FROM flag_blocks b WHERE b.account_id = %(account_id)s AND b.mailbox_id = %(mailbox_id)s
                AND b.block = t.block OFFSET 0
        ) f CROSS JOIN LATERAL (
            SELECT f.block * 64 + i AS uid, flags, modseq
            FROM unnest(f.flags, f.modseqs) WITH ORDINALITY AS u (flags, modseq, i)
            WHERE modseq > %(since)s AND (f.live >> (i - 1)::integer) & 1 = 1
        ) e WHERE e.uid < %(uid_next)s
    )
    SELECT {_STATUS}, a.log_floor, n.blocks, n.masks,
        (SELECT range_agg(r) FROM log CROSS JOIN LATERAL unnest(runs) AS u (r) WHERE kind = 3),
        c.uids, c.flags, c.modseqs,
        (SELECT jsonb_object_agg(block, more_keywords) FROM flagged WHERE more_keywords IS NOT NULL),
        ARRAY(SELECT name FROM keywords k WHERE k.account_id = %(account_id)s ORDER BY number)
    FROM mailbox_state s JOIN account_state a USING (account_id)
    CROSS JOIN LATERAL (
        SELECT array_agg(block) AS blocks, array_agg(live) AS masks FROM (
            SELECT block, live FROM flag_blocks f
            WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s
                AND f.block >= (%(uid_next)s - 1) / 64 AND f.live <> 0 ORDER BY block
        ) lives
    ) n
    CROSS JOIN LATERAL (
        SELECT array_agg(uid ORDER BY uid) AS uids, array_agg(flags ORDER BY uid) AS flags,
            array_agg(modseq ORDER BY uid) AS modseqs FROM flagged
    ) c
    WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    """,
)

# What a write to the account's mailboxes takes: its modseq, and the first number and uid_validity of those it makes.
_NEXT: Final = """
    next AS MATERIALIZED (
        SELECT modseq + 1 AS modseq, mailbox_next,
            greatest(last_uid_validity + 1, extract(epoch FROM now())::bigint) AS uid_validity
        FROM account_state WHERE account_id = %(account_id)s
    )
"""
# Makes the rows of `missing`.
_MAKE: Final = """
    made AS (
        INSERT INTO mailboxes (account_id, mailbox_id, name, special_use, object_id)
        SELECT %(account_id)s, mailbox_id, name, special_use, 'M' || %(account_id)s || '-' || mailbox_id FROM missing
    ), states_made AS (
        INSERT INTO mailbox_state (account_id, mailbox_id, uid_validity, highest_modseq)
        SELECT %(account_id)s, mailbox_id, uid_validity, modseq FROM missing
    ), made_logged AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind)
        SELECT %(account_id)s, modseq, mailbox_id, 4 FROM missing
    ), numbers_taken AS MATERIALIZED (
        SELECT count(*) AS mailboxes, max(uid_validity) AS last_uid_validity FROM missing
    )
"""

# Whether the account would have too many: its numbers, which are never used again, mostly tell without counting.
_IS_FULL: Final = """
    CASE WHEN (SELECT mailbox_next FROM next) - 1 + n.missing <= %(limit)s THEN false
        ELSE (SELECT count(*) FROM mailboxes WHERE account_id = %(account_id)s) + n.missing > %(limit)s END
"""

# Indexes mailboxes_by_name and mailboxes_by_use. Locked by account_state. names: the superiors, then the mailbox.
CREATE: Final = Statement(
    "create mailbox",
    f"""
    WITH {_NEXT}, seen AS MATERIALIZED (
        SELECT answer[1] AS mailbox_id FROM requests
        WHERE account_id = %(account_id)s AND request_id = %(request_id)s::uuid
    ), asked AS MATERIALIZED (
        SELECT a.name, a.n, b.mailbox_id FROM unnest(%(names)s::text[]) WITH ORDINALITY AS a (name, n)
        LEFT JOIN LATERAL (
            SELECT mailbox_id FROM mailboxes b WHERE b.account_id = %(account_id)s AND b.name = a.name OFFSET 0
        ) b ON true
    ), verdict AS MATERIALIZED (
        SELECT EXISTS (SELECT FROM asked WHERE name = %(name)s AND mailbox_id IS NOT NULL) AS is_there,
            {_IS_FULL} AS is_full,
            EXISTS (
                SELECT FROM mailboxes b WHERE b.account_id = %(account_id)s AND b.special_use = %(special_use)s
                    AND b.special_use <> ''
            ) AS is_used
        FROM (SELECT count(*) AS missing FROM asked WHERE mailbox_id IS NULL) n
    ), missing AS MATERIALIZED (
        SELECT a.name, CASE WHEN a.name = %(name)s THEN %(special_use)s ELSE '' END AS special_use, x.modseq,
            x.mailbox_next + row_number() OVER (ORDER BY n) - 1 AS mailbox_id,
            x.uid_validity + row_number() OVER (ORDER BY n) - 1 AS uid_validity
        FROM asked a, next x, verdict v
        WHERE a.mailbox_id IS NULL AND NOT v.is_there AND NOT v.is_full AND NOT v.is_used
            AND NOT EXISTS (SELECT FROM seen)
    ), {_MAKE}, account_written AS (
        UPDATE account_state a SET modseq = a.modseq + 1, mailbox_next = a.mailbox_next + t.mailboxes,
            last_uid_validity = t.last_uid_validity
        FROM numbers_taken t WHERE a.account_id = %(account_id)s AND t.mailboxes > 0
    ), request_written AS (
        INSERT INTO requests (account_id, request_id, answer)
        SELECT %(account_id)s, %(request_id)s::uuid, ARRAY[mailbox_id] FROM missing WHERE name = %(name)s
    )
    SELECT EXISTS (SELECT FROM next), EXISTS (SELECT FROM seen), v.is_there, v.is_full, v.is_used FROM verdict v
    """,
)

# Primary keys of requests, mailboxes and mailbox_state: what a CREATE made, whatever its name is now.
MADE: Final = Statement(
    "find made mailbox",
    f"""
    SELECT {_MAILBOX} FROM mailboxes b JOIN mailbox_state s USING (account_id, mailbox_id)
    WHERE b.account_id = %(account_id)s AND b.mailbox_id = (
        SELECT answer[1] FROM requests WHERE account_id = %(account_id)s AND request_id = %(request_id)s::uuid
    )
    """,
)

# Index mailboxes_by_name (what lies below is the range from "name/" to "name0"); primary keys of mailbox_state and
# flag_blocks (a range). Locked by account_state. The sweeper removes the messages.
DELETE: Final = Statement(
    "delete mailbox",
    """
    WITH box AS MATERIALIZED (
        SELECT b.mailbox_id, s.messages, s.bytes, s.uid_next, a.modseq + 1 AS modseq,
            EXISTS (
                SELECT FROM mailboxes c
                WHERE c.account_id = %(account_id)s AND c.name > %(name)s || '/' AND c.name < %(name)s || '0'
            ) AS has_children
        FROM mailboxes b JOIN mailbox_state s USING (account_id, mailbox_id) JOIN account_state a USING (account_id)
        WHERE b.account_id = %(account_id)s AND b.name = %(name)s
    ), going AS MATERIALIZED (
        SELECT * FROM box WHERE NOT has_children
    ), gone AS (
        DELETE FROM mailboxes b USING going g WHERE b.account_id = %(account_id)s AND b.mailbox_id = g.mailbox_id
    ), state_gone AS (
        DELETE FROM mailbox_state s USING going g WHERE s.account_id = %(account_id)s AND s.mailbox_id = g.mailbox_id
    ), blocks_gone AS (
        DELETE FROM flag_blocks f USING going g WHERE f.account_id = %(account_id)s AND f.mailbox_id = g.mailbox_id
    ), account_written AS (
        UPDATE account_state a SET modseq = a.modseq + 1, used_bytes = a.used_bytes - g.bytes,
            used_messages = a.used_messages - g.messages
        FROM going g WHERE a.account_id = %(account_id)s
    ), changes_written AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind)
        SELECT %(account_id)s, modseq, mailbox_id, 6 FROM going
    ), expunged_written AS (
        INSERT INTO expunged (account_id, mailbox_id, modseq, runs)
        SELECT %(account_id)s, mailbox_id, modseq, int8multirange(int8range(1, uid_next)) FROM going
        WHERE uid_next > 1
    )
    SELECT mailbox_id, has_children FROM box
    """,
)

# Index mailboxes_by_name (as above). Locked by account_state. The superiors that are missing are made with it, or not
# at all.
RENAME: Final = Statement(
    "rename mailbox",
    f"""
    WITH {_NEXT}, moving AS MATERIALIZED (
        SELECT mailbox_id, %(new_name)s AS new_name FROM mailboxes
        WHERE account_id = %(account_id)s AND name = %(name)s
        UNION ALL
        SELECT mailbox_id, %(new_name)s || substr(name, length(%(name)s) + 1) FROM mailboxes
        WHERE account_id = %(account_id)s AND name > %(name)s || '/' AND name < %(name)s || '0'
    ), absent AS MATERIALIZED (
        SELECT a.name, row_number() OVER (ORDER BY a.n) - 1 AS place
        FROM unnest(%(superiors)s::text[]) WITH ORDINALITY AS a (name, n)
        WHERE NOT EXISTS (SELECT FROM mailboxes b WHERE b.account_id = %(account_id)s AND b.name = a.name)
    ), verdict AS MATERIALIZED (
        SELECT EXISTS (SELECT FROM mailboxes WHERE account_id = %(account_id)s AND name = %(name)s) AS is_there,
            EXISTS (
                SELECT FROM mailboxes b JOIN moving m ON b.name = m.new_name WHERE b.account_id = %(account_id)s
            ) AS is_taken,
            EXISTS (
                SELECT FROM moving WHERE octet_length(new_name) > %(max_octets)s
                    OR length(new_name) - length(replace(new_name, '/', '')) >= %(max_depth)s
            ) AS is_too_long,
            n.missing > 0 AND {_IS_FULL} AS is_full
        FROM (SELECT count(*) AS missing FROM absent) n
    ), go AS MATERIALIZED (
        SELECT x.* FROM next x, verdict v WHERE v.is_there AND NOT v.is_taken AND NOT v.is_too_long AND NOT v.is_full
    ), missing AS MATERIALIZED (
        SELECT a.name, '' AS special_use, g.modseq, g.mailbox_next + a.place AS mailbox_id,
            g.uid_validity + a.place AS uid_validity
        FROM absent a, go g
    ), {_MAKE}, renamed AS (
        UPDATE mailboxes b SET name = m.new_name FROM moving m, go
        WHERE b.account_id = %(account_id)s AND b.mailbox_id = m.mailbox_id
    ), renamed_logged AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind)
        SELECT %(account_id)s, g.modseq, m.mailbox_id, 5 FROM moving m, go g
    ), account_written AS (
        UPDATE account_state a SET modseq = a.modseq + 1, mailbox_next = a.mailbox_next + t.mailboxes,
            last_uid_validity = coalesce(t.last_uid_validity, a.last_uid_validity)
        FROM numbers_taken t, go WHERE a.account_id = %(account_id)s
    )
    SELECT is_there, is_taken, is_too_long, is_full FROM verdict
    """,
)

# Primary key of requests: whether CREATE made the mailbox, in this same transaction.
_IS_MADE: Final = """
    EXISTS (SELECT FROM requests q WHERE q.account_id = %(account_id)s AND q.request_id = %(made_by)s::uuid)
"""
# COPY and EXPUNGE of everything, which do nothing where CREATE refused: no message leaves INBOX that did not arrive.
COPY_INBOX: Final = Statement("copy INBOX", COPY.text.replace("%(is_all)s", _IS_MADE))
EMPTY_INBOX: Final = Statement("empty INBOX", EXPUNGE.text.replace("%(is_all)s", _IS_MADE))
