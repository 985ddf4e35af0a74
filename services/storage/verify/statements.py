"""SQL of verify: each statement answers one row of text for each thing that does not add up, and none when all does.

The rule: each is one snapshot of one account, so that it may run beside live traffic.
"""

from typing import Final

from services.storage.transaction import Statement

# Primary key of account_state.
ACCOUNTS: Final = Statement(
    "verify: accounts",
    "SELECT account_id FROM account_state WHERE account_id > %(after)s ORDER BY account_id LIMIT 1000",
)

# Primary key of account_state.
ACCOUNT: Final = Statement(
    "verify: account", "SELECT account_id FROM account_state WHERE account_id = %(account_id)s"
)

# Ranges of mailbox_state and flag_blocks by account.
COUNTERS: Final = Statement(
    "verify: counters",
    """
    WITH counted AS (
        SELECT f.mailbox_id, count(*) AS messages, sum(u.size)::bigint AS bytes,
            count(*) FILTER (WHERE u.flags & 1 = 0) AS unseen, count(*) FILTER (WHERE u.flags & 8 <> 0) AS deleted,
            max(f.block * 64 + u.i) AS last_uid, max(u.modseq) AS modseq
        FROM flag_blocks f
        CROSS JOIN LATERAL unnest(f.flags, f.modseqs, f.sizes) WITH ORDINALITY AS u (flags, modseq, size, i)
        WHERE f.account_id = %(account_id)s AND (f.live >> (u.i - 1)::integer) & 1 = 1
        GROUP BY f.mailbox_id
    ), compared AS (
        SELECT coalesce(s.mailbox_id, c.mailbox_id) AS mailbox_id, s.mailbox_id IS NULL AS is_lost,
            ARRAY[s.messages, s.bytes, s.unseen, s.deleted] AS kept,
            ARRAY[coalesce(c.messages, 0), coalesce(c.bytes, 0), coalesce(c.unseen, 0), coalesce(c.deleted, 0)]
                AS found,
            s.uid_next, c.last_uid, s.highest_modseq, c.modseq
        FROM (SELECT * FROM mailbox_state WHERE account_id = %(account_id)s) s
        FULL JOIN counted c ON c.mailbox_id = s.mailbox_id
    )
    SELECT format('mailbox %%s has live messages and no counters', mailbox_id) FROM compared WHERE is_lost
    UNION ALL SELECT format('mailbox %%s: messages, bytes, unseen, deleted are kept as %%s and counted as %%s',
        mailbox_id, kept, found) FROM compared WHERE kept <> found
    UNION ALL SELECT format('mailbox %%s: uid %%s lives, uid_next is %%s', mailbox_id, last_uid, uid_next)
        FROM compared WHERE last_uid >= uid_next
    UNION ALL SELECT format('mailbox %%s: a message has modseq %%s, the mailbox %%s', mailbox_id, modseq,
        highest_modseq) FROM compared WHERE modseq > highest_modseq
    UNION ALL SELECT format('account: bytes, messages are kept as %%s and counted as %%s',
        ARRAY[a.used_bytes, a.used_messages], ARRAY[t.bytes, t.messages])
        FROM account_state a, (
            SELECT coalesce(sum(bytes), 0)::bigint AS bytes, coalesce(sum(messages), 0)::bigint AS messages
            FROM mailbox_state WHERE account_id = %(account_id)s
        ) t
        WHERE a.account_id = %(account_id)s AND (a.used_bytes, a.used_messages) <> (t.bytes, t.messages)
    UNION ALL SELECT format('mailbox %%s: modseq %%s is above the account''s %%s', s.mailbox_id, s.highest_modseq,
        a.modseq) FROM mailbox_state s JOIN account_state a USING (account_id)
        WHERE s.account_id = %(account_id)s AND s.highest_modseq > a.modseq
    UNION ALL SELECT format('mailbox %%s: block %%s has arrays of %%s, %%s and %%s', mailbox_id, block,
        cardinality(flags), cardinality(modseqs), cardinality(sizes)) FROM flag_blocks
        WHERE account_id = %(account_id)s AND (cardinality(flags) <> cardinality(modseqs)
            OR cardinality(flags) <> cardinality(sizes) OR cardinality(flags) > 64)
    """,
)

# Ranges of mailboxes and mailbox_state by account; index mailboxes_by_name for each superior.
NAMES: Final = Statement(
    "verify: names",
    """
    WITH boxes AS MATERIALIZED (
        SELECT mailbox_id, name, object_id FROM mailboxes WHERE account_id = %(account_id)s
    ), states AS MATERIALIZED (
        SELECT mailbox_id, uid_validity FROM mailbox_state WHERE account_id = %(account_id)s
    )
    SELECT format('mailbox %%s has %%s', mailbox_id, CASE WHEN b.name IS NULL THEN 'no name' ELSE 'no counters' END)
    FROM boxes b FULL JOIN states s USING (mailbox_id) WHERE b.name IS NULL OR s.uid_validity IS NULL
    UNION ALL SELECT format('mailbox %%s: there is nothing above %%s', b.mailbox_id, b.name)
    FROM boxes b WHERE position('/' IN b.name) > 0 AND NOT EXISTS (
        SELECT FROM mailboxes p WHERE p.account_id = %(account_id)s AND p.name = regexp_replace(b.name, '/[^/]*$', '')
    )
    UNION ALL SELECT 'there is no INBOX' WHERE NOT EXISTS (
        SELECT FROM mailboxes WHERE account_id = %(account_id)s AND name = 'INBOX'
    )
    UNION ALL SELECT format('%%s mailboxes have uid_validity %%s', count(*), uid_validity)
    FROM states GROUP BY uid_validity HAVING count(*) > 1
    UNION ALL SELECT format('mailbox %%s: number, uid_validity %%s are not below the account''s %%s, %%s',
        s.mailbox_id, s.uid_validity, a.mailbox_next, a.last_uid_validity)
    FROM states s, account_state a WHERE a.account_id = %(account_id)s
        AND (s.mailbox_id >= a.mailbox_next OR s.uid_validity > a.last_uid_validity)
    """,
)

# Ranges of flag_blocks, messages and bodies by account.
ROWS: Final = Statement(
    "verify: rows",
    """
    WITH live AS (
        SELECT f.mailbox_id, f.block * 64 + u.i AS uid, u.size
        FROM flag_blocks f CROSS JOIN LATERAL unnest(f.sizes) WITH ORDINALITY AS u (size, i)
        WHERE f.account_id = %(account_id)s AND (f.live >> (u.i - 1)::integer) & 1 = 1
    ), joined AS (
        SELECT l.mailbox_id, l.uid, l.size, m.size AS message_size, m.body_id, b.size AS body_size, b.head
        FROM live l
        LEFT JOIN messages m ON m.account_id = %(account_id)s AND m.mailbox_id = l.mailbox_id AND m.uid = l.uid
        LEFT JOIN bodies b ON b.account_id = %(account_id)s AND b.body_id = m.body_id
    )
    SELECT format('mailbox %%s uid %%s: %%s', mailbox_id, uid, CASE
            WHEN message_size IS NULL THEN 'no message' WHEN body_size IS NULL THEN 'no body ' || body_id
            ELSE format('size %%s, its message says %%s, its body %%s', size, message_size, body_size) END)
        FROM joined WHERE message_size IS DISTINCT FROM size OR body_size IS DISTINCT FROM size
    UNION ALL SELECT format('body %%s: %%s messages, %%s shares', c.body_id, c.names, coalesce(s.copies, 0))
        FROM (SELECT body_id, count(*) AS names FROM messages WHERE account_id = %(account_id)s GROUP BY body_id) c
        LEFT JOIN body_shares s ON s.account_id = %(account_id)s AND s.body_id = c.body_id
        WHERE c.names <> coalesce(s.copies, 0) + 1
    """,
)

# Ranges of messages, bodies and the tables beside them by account: what nothing leads to any more. A message that is
# dead has its place in `expunged` until it is swept.
LEFT: Final = Statement(
    "verify: left",
    """
    WITH named AS MATERIALIZED (
        SELECT m.body_id, m.mailbox_id, m.uid, (f.live >> ((m.uid - 1) % 64)::integer) & 1 = 1 AS lives
        FROM messages m LEFT JOIN flag_blocks f
            ON f.account_id = m.account_id AND f.mailbox_id = m.mailbox_id AND f.block = (m.uid - 1) / 64
        WHERE m.account_id = %(account_id)s
    ), dead AS MATERIALIZED (
        SELECT mailbox_id, range_agg(run) AS runs FROM expunged CROSS JOIN LATERAL unnest(runs) AS r (run)
        WHERE account_id = %(account_id)s GROUP BY mailbox_id
    )
    SELECT format('mailbox %%s uid %%s: neither alive nor waiting to be swept', n.mailbox_id, n.uid)
        FROM named n LEFT JOIN dead d USING (mailbox_id)
        WHERE n.lives IS DISTINCT FROM true AND (d.runs @> n.uid) IS DISTINCT FROM true
    UNION ALL SELECT format('body %%s: no message has it', b.body_id) FROM bodies b
        WHERE b.account_id = %(account_id)s AND NOT EXISTS (SELECT FROM named n WHERE n.body_id = b.body_id)
    UNION ALL SELECT format('text of body %%s: there is no such body', t.body_id) FROM (
            SELECT body_id FROM header_text WHERE account_id = %(account_id)s
            UNION SELECT body_id FROM body_text WHERE account_id = %(account_id)s
        ) t
        WHERE NOT EXISTS (SELECT FROM bodies b WHERE b.account_id = %(account_id)s AND b.body_id = t.body_id)
    UNION ALL SELECT format('body %%s is not below the account''s next, %%s', b.body_id, a.body_next)
        FROM bodies b JOIN account_state a USING (account_id)
        WHERE b.account_id = %(account_id)s AND b.body_id >= a.body_next
    """,
)

# Ranges of changes, messages and mailbox_state by account: above the floor, each uid was added once, and whatever is or
# was there was added. An import leaves gaps between its uids.
LOG: Final = Statement(
    "verify: log",
    """
    WITH added AS (
        SELECT mailbox_id, range_agg(run) AS runs, sum(upper(run) - lower(run))::bigint AS uids
        FROM changes CROSS JOIN LATERAL unnest(runs) AS r (run)
        WHERE account_id = %(account_id)s AND kind = 1 GROUP BY mailbox_id
    ), there AS (
        SELECT mailbox_id, range_agg(run) AS runs FROM (
            SELECT mailbox_id, int8range(uid, uid + 1) AS run FROM messages WHERE account_id = %(account_id)s
            UNION ALL SELECT mailbox_id, run FROM changes CROSS JOIN LATERAL unnest(runs) AS r (run)
            WHERE account_id = %(account_id)s AND kind = 3
        ) u GROUP BY mailbox_id
    ), boxes AS (
        SELECT s.mailbox_id, s.uid_next, coalesce(a.runs, '{}') AS added, a.uids, coalesce(t.runs, '{}') AS there
        FROM mailbox_state s JOIN account_state o USING (account_id)
        LEFT JOIN added a ON a.mailbox_id = s.mailbox_id LEFT JOIN there t ON t.mailbox_id = s.mailbox_id
        WHERE s.account_id = %(account_id)s AND o.log_floor = 0
    )
    SELECT format('mailbox %%s: the log tells of uids %%s, uid_next is %%s', mailbox_id, added, uid_next) FROM boxes
    WHERE NOT int8multirange(int8range(1, uid_next)) @> added
        OR uids <> (SELECT sum(upper(run) - lower(run)) FROM unnest(added) AS r (run))
    UNION ALL SELECT format('mailbox %%s: the log tells nothing of the coming of uids %%s', mailbox_id, there - added)
    FROM boxes WHERE NOT added @> there
    UNION ALL SELECT format('the log has modseq %%s, the account %%s', max(c.modseq), max(o.modseq))
    FROM changes c JOIN account_state o USING (account_id) WHERE c.account_id = %(account_id)s
    HAVING max(c.modseq) > max(o.modseq)
    """,
)

# Range of bodies by account, a page at a time.
BODIES: Final = Statement(
    "verify: bodies",
    """
    SELECT body_id, size, octet_length(head), hash, content, upload_id, header, encoding, parts FROM bodies
    WHERE account_id = %(account_id)s AND body_id > %(after)s ORDER BY body_id LIMIT 20
    """,
)
# Primary key of bodies.
BODY: Final = Statement(
    "verify: body", "SELECT body_id FROM bodies WHERE account_id = %(account_id)s AND body_id = %(body_id)s"
)
# Primary key of body_chunks.
CHUNK: Final = Statement(
    "verify: chunk",
    "SELECT data FROM body_chunks WHERE upload_id = %(upload_id)s AND chunk_no = %(chunk_no)s",
)

# Range of messages by account, a page at a time: what was made of their bodies' octets.
MADE: Final = Statement(
    "verify: made",
    """
    SELECT mailbox_id, uid, body_id, envelope, structure FROM messages
    WHERE account_id = %(account_id)s AND (mailbox_id, uid) > (%(mailbox_id)s, %(uid)s) AND structure_version = 1
    ORDER BY mailbox_id, uid LIMIT 200
    """,
)
