"""SQL that reads messages, and gives keywords their numbers.

The rule: a page is a range or a list of uids, never a join on ranges; bodies are reached message by message.
"""

from typing import Final

from services.storage.transaction import Statement

# Primary key of mailbox_state; range of flag_blocks by its primary key.
BLOCKS: Final = Statement(
    "fetch blocks",
    """
    SELECT f.block, f.live, f.flags, f.modseqs, f.sizes, f.more_keywords FROM flag_blocks f
    WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s
        AND f.block BETWEEN %(first)s AND %(last)s
    ORDER BY f.block LIMIT %(limit)s
    """,
)

# Primary key of flag_blocks, once for each block that was asked for.
SOME_BLOCKS: Final = Statement(
    "fetch some blocks",
    """
    SELECT f.block, f.live, f.flags, f.modseqs, f.sizes, f.more_keywords
    FROM unnest(%(blocks)s::bigint[]) AS a (block) CROSS JOIN LATERAL (
        SELECT * FROM flag_blocks b WHERE b.account_id = %(account_id)s AND b.mailbox_id = %(mailbox_id)s
            AND b.block = a.block OFFSET 0
    ) f ORDER BY f.block
    """,
)

# Primary keys of mailbox_state, keywords and expunged: what went a moment ago has still its rows. first, last: of the
# uids that are asked for.
MAILBOX: Final = Statement(
    "fetch mailbox",
    """
    SELECT s.uid_next, ARRAY(
        SELECT name FROM keywords k WHERE k.account_id = %(account_id)s ORDER BY number
    ), (
        SELECT range_agg(e.runs * asked.span) FROM expunged e,
            (SELECT int8multirange(int8range(%(first)s, %(last)s + 1)) AS span WHERE %(first)s <= %(last)s) asked
        WHERE e.account_id = %(account_id)s AND e.mailbox_id = %(mailbox_id)s AND e.runs && asked.span
    ) FROM mailbox_state s WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    """,
)

# Primary key of mailbox_state.
UID_NEXT: Final = Statement(
    "uid next",
    "SELECT uid_next FROM mailbox_state WHERE account_id = %(account_id)s AND mailbox_id = %(mailbox_id)s",
)

# Primary key of keywords.
KEYWORDS: Final = Statement(
    "keywords", "SELECT name FROM keywords WHERE account_id = %(account_id)s ORDER BY number"
)

# Locked by account_state; numbers follow the order of the array. Nothing is written beyond %(limit)s.
ADD_KEYWORDS: Final = Statement(
    "add keywords",
    """
    WITH known AS (
        SELECT lower(name) AS folded FROM keywords WHERE account_id = %(account_id)s
    ), fresh AS (
        SELECT name, row_number() OVER (ORDER BY n) - 1 AS place
        FROM unnest(%(names)s::text[]) WITH ORDINALITY AS a (name, n)
        WHERE lower(name) NOT IN (SELECT folded FROM known)
            AND EXISTS (SELECT FROM account_state WHERE account_id = %(account_id)s)
    )
    INSERT INTO keywords (account_id, number, name)
    SELECT %(account_id)s, (SELECT count(*) FROM known) + place, name FROM fresh
    WHERE (SELECT count(*) FROM known) + (SELECT count(*) FROM fresh) <= %(limit)s
    """,
)

_MESSAGE_RANGE: Final = """
    FROM messages m WHERE m.account_id = %(account_id)s AND m.mailbox_id = %(mailbox_id)s
        AND m.uid BETWEEN %(first)s AND %(last)s
"""
_MESSAGE_LIST: Final = """
    FROM unnest(%(uids)s::bigint[]) AS a (uid) CROSS JOIN LATERAL (
        SELECT * FROM messages b WHERE b.account_id = %(account_id)s AND b.mailbox_id = %(mailbox_id)s
            AND b.uid = a.uid OFFSET 0
    ) m
"""
_LISTING: Final = "SELECT m.uid, m.internal_at, m.envelope, m.structure"
_BODY: Final = """
    SELECT m.uid, m.internal_at, m.envelope, m.structure, b.parts, octet_length(b.head),
        CASE WHEN %(has_header)s AND b.upload_id IS NULL
            THEN b.head || substring(b.content FROM 1 FOR b.header::integer) END,
        CASE WHEN %(has_body)s AND b.upload_id IS NULL AND m.size <= %(inline)s THEN b.head || b.content END,
        octet_length(b.head) + b.header
"""
_BODIES: Final = """
    CROSS JOIN LATERAL (
        SELECT parts, head, content, upload_id, header FROM bodies
        WHERE account_id = %(account_id)s AND body_id = m.body_id OFFSET 0
    ) b ORDER BY m.uid
"""

# Range of messages by its primary key.
LIST_RANGE: Final = Statement("list range", _LISTING + _MESSAGE_RANGE + "ORDER BY m.uid")
# Primary key of messages, once for each uid.
LIST_SOME: Final = Statement("list some", _LISTING + _MESSAGE_LIST + "ORDER BY m.uid")
# Range of messages, then the primary key of bodies, once for each message.
BODY_RANGE: Final = Statement(
    "bodies range", _BODY + "FROM (SELECT m.*" + _MESSAGE_RANGE + "ORDER BY m.uid OFFSET 0) m" + _BODIES
)
# Primary key of messages, then that of bodies, once for each uid.
BODY_SOME: Final = Statement(
    "bodies some", _BODY + "FROM (SELECT m.*" + _MESSAGE_LIST + "ORDER BY m.uid OFFSET 0) m" + _BODIES
)

# Primary keys of messages and bodies.
READ: Final = Statement(
    "read body",
    """
    SELECT m.size, b.head, b.upload_id, CASE WHEN b.upload_id IS NULL THEN substring(b.content
        FROM greatest(%(start)s - octet_length(b.head), 0)::integer + 1
        FOR greatest(least(%(end)s, m.size) - greatest(%(start)s, octet_length(b.head)), 0)::integer) END
    FROM messages m JOIN bodies b ON b.account_id = m.account_id AND b.body_id = m.body_id
    WHERE m.account_id = %(account_id)s AND m.mailbox_id = %(mailbox_id)s AND m.uid = %(uid)s
    """,
)

# Range of body_chunks by its primary key.
READ_CHUNKS: Final = Statement(
    "read chunks",
    """
    SELECT data FROM body_chunks WHERE upload_id = %(upload_id)s AND chunk_no BETWEEN %(first)s AND %(last)s
    ORDER BY chunk_no
    """,
)
