"""SQL of searching, and of the texts that are kept for it.

The rule: every statement looks at a bounded number of messages, and answers arrays of uids: those that have what was
asked, and those whose text is not kept, which are then read themselves.
"""

from typing import Final

from services.storage.transaction import Statement

# Primary key of mailbox_state.
MAILBOX: Final = Statement(
    "search: mailbox",
    """
    SELECT s.uid_next, ARRAY(SELECT name FROM keywords k WHERE k.account_id = %(account_id)s ORDER BY number)
    FROM mailbox_state s WHERE s.account_id = %(account_id)s AND s.mailbox_id = %(mailbox_id)s
    """,
)

# Range of flag_blocks by its primary key; of its columns only those that a key looks at.
BLOCKS: Final = Statement(
    "search: blocks",
    """
    SELECT f.block, f.live, CASE WHEN %(has_flags)s THEN f.flags END,
        CASE WHEN %(has_modseqs)s THEN f.modseqs END, CASE WHEN %(has_sizes)s THEN f.sizes END,
        CASE WHEN %(has_flags)s THEN f.more_keywords END
    FROM flag_blocks f
    WHERE f.account_id = %(account_id)s AND f.mailbox_id = %(mailbox_id)s
        AND f.block BETWEEN %(first)s AND %(last)s AND f.live <> 0
    ORDER BY f.block
    """,
)

_RANGE_OF: Final = """
    FROM (
        SELECT m.uid, m.body_id, m.internal_at FROM messages m
        WHERE m.account_id = %(account_id)s AND m.mailbox_id = %(mailbox_id)s
            AND m.uid BETWEEN %(first)s AND %(last)s OFFSET 0
    ) m
"""
_LIST_OF: Final = """
    FROM unnest(%(uids)s::bigint[]) AS a (uid) CROSS JOIN LATERAL (
        SELECT b.uid, b.body_id, b.internal_at FROM messages b
        WHERE b.account_id = %(account_id)s AND b.mailbox_id = %(mailbox_id)s AND b.uid = a.uid OFFSET 0
    ) m
"""
_HEADER: Final = """
    LEFT JOIN LATERAL (
        SELECT t.sent, t.folded FROM header_text t
        WHERE t.account_id = %(account_id)s AND t.body_id = m.body_id OFFSET 0
    ) h ON true
"""
_BODY: Final = """
    LEFT JOIN LATERAL (
        SELECT t.folded FROM body_text t WHERE t.account_id = %(account_id)s AND t.body_id = m.body_id OFFSET 0
    ) b ON true
"""
_ARRIVED: Final = """
    SELECT array_agg(m.uid) FILTER (WHERE m.internal_at >= %(since)s AND m.internal_at < %(before)s), NULL, NULL, NULL
"""
_SENT: Final = """
    SELECT array_agg(m.uid) FILTER (WHERE h.sent >= %(since)s AND h.sent < %(before)s),
        array_agg(m.uid) FILTER (WHERE h.folded IS NULL), NULL, NULL
"""
# A group of several fields of one name holds that name between their values: who asked looks at it more closely.
_FIELD: Final = """
    SELECT array_agg(m.uid) FILTER (WHERE f.is_hit AND NOT f.is_several),
        array_agg(m.uid) FILTER (WHERE f.is_hit IS NULL),
        array_agg(m.uid) FILTER (WHERE f.is_hit AND f.is_several),
        array_agg(f.field) FILTER (WHERE f.is_hit AND f.is_several)
"""
_IN_FIELD: Final = """
    CROSS JOIN LATERAL (
        SELECT g.field, strpos(g.field, %(text)s) > 0 AS is_hit, strpos(g.field, E'\\r') > 0 AS is_several
        FROM (
            SELECT CASE WHEN strpos(h.folded, %(text)s) = 0 THEN ''
                ELSE split_part(split_part(h.folded, %(lead)s, 2), E'\\n', 1) END AS field OFFSET 0
        ) g
    ) f
"""
_HAS_FIELD: Final = """
    SELECT array_agg(m.uid) FILTER (WHERE strpos(h.folded, %(lead)s) > 0),
        array_agg(m.uid) FILTER (WHERE h.folded IS NULL), NULL, NULL
"""
_IN_BODY: Final = """
    SELECT array_agg(m.uid) FILTER (WHERE strpos(b.folded, %(text)s) > 0),
        array_agg(m.uid) FILTER (WHERE b.folded IS NULL), NULL, NULL
"""
_IN_TEXT: Final = """
    SELECT array_agg(m.uid) FILTER (WHERE f.is_hit), array_agg(m.uid) FILTER (WHERE f.is_hit IS NULL), NULL, NULL
"""
_OF_TEXT: Final = """
    CROSS JOIN LATERAL (
        SELECT strpos(h.folded, %(text)s) > 0 OR strpos(b.folded, %(text)s) > 0 AS is_hit OFFSET 0
    ) f
"""

# Where the bodies of these messages lie close together, which is told: their headers as one range, not one by one.
# A full join is never a loop in a loop, whatever a plan made while the tables were empty takes for their size.
_NEAR: Final = """
    WITH m AS MATERIALIZED (
        SELECT m.uid, m.body_id FROM messages m
        WHERE m.account_id = %(account_id)s AND m.mailbox_id = %(mailbox_id)s
            AND m.uid BETWEEN %(first)s AND %(last)s
    ), near AS MATERIALIZED (
        SELECT min(body_id) AS first, max(body_id) AS last, max(body_id) - min(body_id) < 4 * count(*) AS is_near FROM m
    )
    SELECT array_agg(m.uid) FILTER (WHERE h.is_hit AND h.several IS NULL AND m.uid IS NOT NULL),
        array_agg(m.uid) FILTER (WHERE h.body_id IS NULL),
        array_agg(m.uid) FILTER (WHERE h.several IS NOT NULL AND m.uid IS NOT NULL),
        array_agg(h.several) FILTER (WHERE h.several IS NOT NULL AND m.uid IS NOT NULL),
        (SELECT is_near FROM near)
    FROM m FULL JOIN ("""
_HEADERS_NEAR: Final = """
        FROM header_text t WHERE t.account_id = %(account_id)s AND t.body_id BETWEEN (SELECT first FROM near)
            AND (SELECT CASE WHEN is_near THEN last ELSE first - 1 END FROM near) OFFSET 0"""
_NEAR_END: Final = """
    ) h ON h.body_id = m.body_id
"""
_FIELD_NEAR: Final = """
        SELECT f.body_id, strpos(f.field, %(text)s) > 0 AS is_hit,
            CASE WHEN strpos(f.field, %(text)s) > 0 AND strpos(f.field, E'\\r') > 0 THEN f.field END AS several
        FROM (
            SELECT t.body_id, CASE WHEN strpos(t.folded, %(text)s) = 0 THEN ''
                ELSE split_part(split_part(t.folded, %(lead)s, 2), E'\\n', 1) END AS field
"""
_HAS_FIELD_NEAR: Final = """
        SELECT t.body_id, strpos(t.folded, %(lead)s) > 0 AS is_hit, NULL::text AS several
"""
_SENT_NEAR: Final = """
        SELECT t.body_id, t.sent >= %(since)s AND t.sent < %(before)s AS is_hit, NULL::text AS several
"""

# Range of messages, then a range of header_text, by their primary keys.
SENT_NEAR: Final = Statement("search: sent near", _NEAR + _SENT_NEAR + _HEADERS_NEAR + _NEAR_END)
FIELD_NEAR: Final = Statement("search: field near", _NEAR + _FIELD_NEAR + _HEADERS_NEAR + ") f" + _NEAR_END)
HAS_FIELD_NEAR: Final = Statement(
    "search: has field near", _NEAR + _HAS_FIELD_NEAR + _HEADERS_NEAR + _NEAR_END
)
# Range of messages by its primary key.
ARRIVED_RANGE: Final = Statement("search: arrived range", _ARRIVED + _RANGE_OF)
# Primary key of messages, once for each uid.
ARRIVED_SOME: Final = Statement("search: arrived some", _ARRIVED + _LIST_OF)
# Range of messages, then the primary key of header_text.
SENT_RANGE: Final = Statement("search: sent range", _SENT + _RANGE_OF + _HEADER)
FIELD_RANGE: Final = Statement("search: field range", _FIELD + _RANGE_OF + _HEADER + _IN_FIELD)
HAS_FIELD_RANGE: Final = Statement("search: has field range", _HAS_FIELD + _RANGE_OF + _HEADER)
# Primary key of messages, then that of header_text, once for each uid.
SENT_SOME: Final = Statement("search: sent some", _SENT + _LIST_OF + _HEADER)
FIELD_SOME: Final = Statement("search: field some", _FIELD + _LIST_OF + _HEADER + _IN_FIELD)
HAS_FIELD_SOME: Final = Statement("search: has field some", _HAS_FIELD + _LIST_OF + _HEADER)
# Range of messages, then the primary keys of header_text and body_text.
BODY_RANGE: Final = Statement("search: body range", _IN_BODY + _RANGE_OF + _BODY)
TEXT_RANGE: Final = Statement("search: text range", _IN_TEXT + _RANGE_OF + _HEADER + _BODY + _OF_TEXT)
# Primary key of messages, then those of header_text and body_text, once for each uid.
BODY_SOME: Final = Statement("search: body some", _IN_BODY + _LIST_OF + _BODY)
TEXT_SOME: Final = Statement("search: text some", _IN_TEXT + _LIST_OF + _HEADER + _BODY + _OF_TEXT)

_SOURCE: Final = """
    b.head, b.header, b.parts, b.upload_id, b.content
"""
# Primary keys of messages and bodies, once for each uid; no further than so many octets, and one message at least.
SOURCES: Final = Statement(
    "search: sources",
    "SELECT m.uid,"
    + _SOURCE
    + """
    FROM (
        SELECT f.uid, f.body_id, sum(f.size) OVER (ORDER BY f.uid) - f.size AS before
        FROM unnest(%(uids)s::bigint[]) AS a (uid) CROSS JOIN LATERAL (
            SELECT b.uid, b.body_id, b.size FROM messages b
            WHERE b.account_id = %(account_id)s AND b.mailbox_id = %(mailbox_id)s AND b.uid = a.uid OFFSET 0
        ) f
    ) m
    CROSS JOIN LATERAL (
        SELECT * FROM bodies WHERE account_id = %(account_id)s AND body_id = m.body_id OFFSET 0
    ) b WHERE m.before < %(octets)s ORDER BY m.uid
    """,
)

# Range of bodies by account, behind the last one whose text is kept; no further than so many octets, and one at least.
UNPREPARED: Final = Statement(
    "search: unprepared",
    "SELECT m.body_id,"
    + _SOURCE
    + """
    FROM (
        SELECT f.body_id, sum(f.size) OVER (ORDER BY f.body_id) - f.size AS before
        FROM (
            SELECT body_id, size FROM bodies WHERE account_id = %(account_id)s AND body_id > greatest(%(after)s, (
                SELECT coalesce(max(body_id), 0) FROM header_text WHERE account_id = %(account_id)s
            )) ORDER BY body_id LIMIT %(limit)s
        ) f
    ) m
    CROSS JOIN LATERAL (
        SELECT * FROM bodies WHERE account_id = %(account_id)s AND body_id = m.body_id OFFSET 0
    ) b WHERE m.before < %(octets)s ORDER BY m.body_id
    """,
)

# Primary keys of bodies, header_text and body_text. A body that is just being removed is passed over, and none can be
# removed before its text is there to go with it.
PREPARE: Final = Statement(
    "search: prepare",
    """
    WITH held AS MATERIALIZED (
        SELECT body_id FROM bodies WHERE account_id = %(account_id)s AND body_id = ANY(%(body_ids)s::bigint[])
        ORDER BY body_id FOR KEY SHARE SKIP LOCKED
    ), texts AS MATERIALIZED (
        SELECT t.* FROM unnest(
            %(body_ids)s::bigint[], %(sent)s::bigint[], %(headers)s::text[], %(bodies)s::text[], %(are_kept)s::bigint[]
        ) AS t (body_id, sent, header, body, is_kept)
        WHERE t.body_id = ANY(ARRAY(SELECT body_id FROM held))
    ), headers_written AS (
        INSERT INTO header_text (account_id, body_id, sent, folded)
        SELECT %(account_id)s, body_id, nullif(sent, %(unsent)s)::integer, header FROM texts ON CONFLICT DO NOTHING
    )
    INSERT INTO body_text (account_id, body_id, folded)
    SELECT %(account_id)s, body_id, CASE WHEN is_kept = 1 THEN body END FROM texts ON CONFLICT DO NOTHING
    """,
)
