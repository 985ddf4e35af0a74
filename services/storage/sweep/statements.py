"""SQL of the sweeper. The rule: whatever it removes, no session can still ask for, and no log row still tells of."""

from typing import Final

from services.storage.transaction import Statement

# Pages of account_state by its primary key; then what is due in them, by account_id in each table's primary key.
DUE: Final = Statement(
    "sweep: find",
    """
    WITH page AS (
        SELECT account_id, log_floor FROM account_state WHERE account_id > %(after)s
        ORDER BY account_id LIMIT %(limit)s
    )
    SELECT p.account_id,
        EXISTS (SELECT FROM expunged e WHERE e.account_id = p.account_id
            AND e.at < now() - make_interval(secs => %(dead_seconds)s)),
        EXISTS (SELECT FROM requests r WHERE r.account_id = p.account_id
            AND r.at < now() - make_interval(secs => %(request_seconds)s)),
        EXISTS (SELECT FROM changes c WHERE c.account_id = p.account_id
            AND c.at < now() - make_interval(secs => %(log_seconds)s))
    FROM page p ORDER BY p.account_id
    """,
)

# Locked by account_state. Primary keys of expunged, messages, unique_ids, body_shares and bodies. A body goes with its
# last message; the octets of a large one are left to SWEEP_UPLOADS, since other accounts may share them.
SWEEP_DEAD: Final = Statement(
    "sweep: dead messages",
    """
    WITH due AS (
        DELETE FROM expunged WHERE account_id = %(account_id)s
            AND at < now() - make_interval(secs => %(dead_seconds)s)
        RETURNING mailbox_id, runs
    ), runs AS MATERIALIZED (
        SELECT mailbox_id, lower(run) AS first, upper(run) AS after FROM due CROSS JOIN LATERAL unnest(runs) AS r (run)
    ), gone AS (
        DELETE FROM messages m USING runs r
        WHERE m.account_id = %(account_id)s AND m.mailbox_id = r.mailbox_id AND m.uid >= r.first AND m.uid < r.after
        RETURNING m.body_id
    ), unique_ids_gone AS (
        DELETE FROM unique_ids m USING runs r
        WHERE m.account_id = %(account_id)s AND m.mailbox_id = r.mailbox_id AND m.uid >= r.first AND m.uid < r.after
    ), named AS MATERIALIZED (
        SELECT body_id, count(*) AS names FROM gone GROUP BY body_id
    ), last AS MATERIALIZED (
        SELECT n.body_id FROM named n
        LEFT JOIN body_shares s ON s.account_id = %(account_id)s AND s.body_id = n.body_id
        WHERE n.names > coalesce(s.copies, 0)
    ), fewer AS (
        UPDATE body_shares s SET copies = s.copies - n.names FROM named n
        WHERE s.account_id = %(account_id)s AND s.body_id = n.body_id AND s.copies >= n.names
    ), unshared AS (
        DELETE FROM body_shares WHERE account_id = %(account_id)s AND body_id = ANY(ARRAY(SELECT body_id FROM last))
    ), bodies_gone AS (
        DELETE FROM bodies WHERE account_id = %(account_id)s AND body_id = ANY(ARRAY(SELECT body_id FROM last))
        RETURNING upload_id
    ), text_gone AS (
        DELETE FROM body_text WHERE account_id = %(account_id)s AND body_id = ANY(ARRAY(SELECT body_id FROM last))
    ), header_text_gone AS (
        DELETE FROM header_text WHERE account_id = %(account_id)s AND body_id = ANY(ARRAY(SELECT body_id FROM last))
    ), uploads_freed AS (
        INSERT INTO uploads (upload_id, at)
        SELECT DISTINCT upload_id, now() - interval '1 year' FROM bodies_gone WHERE upload_id IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM gone
    """,
)

# Primary key of requests.
SWEEP_REQUESTS: Final = Statement(
    "sweep: requests",
    """
    DELETE FROM requests WHERE account_id = %(account_id)s AND at < now() - make_interval(secs => %(request_seconds)s)
    """,
)

# Locked by account_state. The floor rises in the transaction in which the rows go, so a reader sees both or neither.
RAISE_FLOOR: Final = Statement(
    "sweep: raise floor",
    """
    UPDATE account_state SET log_floor = greatest(log_floor, (
        SELECT coalesce(max(modseq), 0) FROM changes
        WHERE account_id = %(account_id)s AND at < now() - make_interval(secs => %(log_seconds)s)
    )) WHERE account_id = %(account_id)s
    """,
)
# Primary key of changes.
SWEEP_CHANGES: Final = Statement(
    "sweep: changes",
    """
    DELETE FROM changes c USING account_state s
    WHERE c.account_id = %(account_id)s AND s.account_id = c.account_id AND c.modseq <= s.log_floor
    """,
)
# Range of flag_blocks by account. Blocks with nothing live whose changes are below the floor; never the block that is
# still appended to, and none whose messages still wait to be swept.
SWEEP_BLOCKS: Final = Statement(
    "sweep: blocks",
    """
    DELETE FROM flag_blocks f USING account_state s, mailbox_state b
    WHERE f.account_id = %(account_id)s AND s.account_id = f.account_id
        AND b.account_id = f.account_id AND b.mailbox_id = f.mailbox_id
        AND f.live = 0 AND f.block < (b.uid_next - 1) / 64
        AND (SELECT max(modseq) FROM unnest(f.modseqs) AS m (modseq)) <= s.log_floor
        AND NOT EXISTS (
            SELECT FROM messages m WHERE m.account_id = f.account_id AND m.mailbox_id = f.mailbox_id
                AND m.uid > f.block * 64 AND m.uid <= f.block * 64 + 64
        )
    """,
)

# Index of uploads by age is not worth having: it holds only what is under way. bodies_by_upload tells who names one.
SWEEP_UPLOADS: Final = Statement(
    "sweep: uploads",
    """
    WITH due AS MATERIALIZED (
        SELECT upload_id FROM uploads WHERE at < now() - make_interval(secs => %(upload_seconds)s)
        LIMIT 100 FOR UPDATE SKIP LOCKED
    ), unnamed AS MATERIALIZED (
        SELECT upload_id FROM due d WHERE NOT EXISTS (SELECT FROM bodies b WHERE b.upload_id = d.upload_id)
    ), gone AS (
        DELETE FROM uploads WHERE upload_id = ANY(ARRAY(SELECT upload_id FROM due)) RETURNING upload_id
    ), chunks_gone AS (
        DELETE FROM body_chunks WHERE upload_id = ANY(ARRAY(SELECT upload_id FROM unnamed))
    )
    SELECT count(*) FROM gone
    """,
)

# Scans what is small: processes, sessions of the dead by sessions_by_process, login_failures.
SWEEP_PROCESSES: Final = Statement(
    "sweep: processes",
    """
    WITH dead AS (
        DELETE FROM processes WHERE lease_until < clock_timestamp() - interval '10 minutes' RETURNING process_id
    ), forgiven AS (
        DELETE FROM login_failures WHERE last_at < now() - interval '1 day'
    )
    DELETE FROM sessions WHERE process_id = ANY(ARRAY(SELECT process_id FROM dead))
    """,
)
