"""SQL of processes, sessions and maildrop locks. Leases run by the database's clock.

The rule: each statement locks rows of these tables alone, and waits for nothing else.
"""

from typing import Final

from services.storage.transaction import Statement

# Primary key of processes.
BEAT: Final = Statement(
    "beat",
    """
    INSERT INTO processes AS p (process_id, kind, address, lease_until)
    VALUES (%(process_id)s, %(kind)s, %(address)s, clock_timestamp() + make_interval(secs => %(lease)s))
    ON CONFLICT (process_id) DO UPDATE SET address = EXCLUDED.address, lease_until = EXCLUDED.lease_until
    """,
)

# Primary key of sessions, in its order.
OPENED: Final = Statement(
    "write sessions",
    """
    INSERT INTO sessions AS s
        (account_id, session_id, process_id, door, peer, opened_at, mailbox_id, expunged_to)
    SELECT account_id, session_id, %(process_id)s, door, peer, opened_at, mailbox_id, expunged_to FROM unnest(
        %(account_ids)s::bigint[], %(session_ids)s::uuid[], %(doors)s::text[], %(peers)s::text[],
        %(opened_ats)s::bigint[], %(mailbox_ids)s::bigint[], %(expunged_tos)s::bigint[]
    ) AS o (account_id, session_id, door, peer, opened_at, mailbox_id, expunged_to)
    ORDER BY account_id, session_id
    ON CONFLICT (account_id, session_id) DO UPDATE SET process_id = EXCLUDED.process_id,
        mailbox_id = EXCLUDED.mailbox_id, expunged_to = EXCLUDED.expunged_to
    """,
)

# Index sessions_by_id. A session that another process took up stays.
CLOSED: Final = Statement(
    "close sessions",
    "DELETE FROM sessions WHERE session_id = ANY(%(session_ids)s) AND process_id = %(process_id)s",
)

# Index sessions_by_process, primary key of removed_accounts: a session may be written after its account went.
ENDING: Final = Statement(
    "sessions to end",
    """
    SELECT s.session_id FROM sessions s
    LEFT JOIN LATERAL (
        SELECT account_id FROM removed_accounts WHERE account_id = s.account_id OFFSET 0
    ) r ON true
    WHERE s.process_id = %(process_id)s AND (s.is_ending OR r.account_id IS NOT NULL)
    """,
)

# Primary key of sessions, or a scan for all accounts; bounded. Primary keys of processes and accounts.
LIST: Final = Statement(
    "list sessions",
    """
    SELECT s.session_id, s.account_id, s.door, s.peer, s.opened_at, s.mailbox_id, s.expunged_to,
        coalesce((SELECT address FROM accounts a WHERE a.account_id = s.account_id), '')
    FROM sessions s JOIN processes p USING (process_id)
    WHERE p.lease_until > clock_timestamp()
        AND (%(account_id)s::bigint IS NULL OR s.account_id = %(account_id)s::bigint)
    ORDER BY s.opened_at, s.session_id LIMIT 10000
    """,
)

# Index sessions_by_id.
END: Final = Statement(
    "end session",
    """
    UPDATE sessions s SET is_ending = true FROM processes p
    WHERE s.session_id = %(session_id)s AND p.process_id = s.process_id AND p.lease_until > clock_timestamp()
    RETURNING s.session_id
    """,
)

# Primary key of pop3_locks.
LOCK: Final = Statement(
    "lock maildrop",
    """
    INSERT INTO pop3_locks AS l (account_id, epoch, lease_until)
    VALUES (%(account_id)s, 1, clock_timestamp() + make_interval(secs => %(lease)s))
    ON CONFLICT (account_id) DO UPDATE SET epoch = l.epoch + 1, lease_until = EXCLUDED.lease_until
        WHERE l.lease_until <= clock_timestamp()
    RETURNING epoch
    """,
)
RENEW: Final = Statement(
    "renew maildrop",
    """
    UPDATE pop3_locks SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE account_id = %(account_id)s AND epoch = %(epoch)s AND lease_until > clock_timestamp() RETURNING epoch
    """,
)
RELEASE: Final = Statement(
    "release maildrop",
    """
    UPDATE pop3_locks SET lease_until = '-infinity'
    WHERE account_id = %(account_id)s AND epoch = %(epoch)s
    """,
)
