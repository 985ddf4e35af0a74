"""SQL of accounts. The tables are small and shared, or read by account_id."""

from typing import Final

from services.storage.transaction import Statement

# Primary key of domains.
ADD_DOMAIN: Final = Statement(
    "add domain", "INSERT INTO domains (domain) VALUES (%(domain)s) ON CONFLICT DO NOTHING RETURNING domain"
)

# Primary key of domains.
FIND_DOMAIN: Final = Statement("find domain", "SELECT domain FROM domains WHERE domain = %(domain)s")

# Scans domains; there are few.
LIST_DOMAINS: Final = Statement("list domains", "SELECT domain FROM domains ORDER BY domain")

# Holds the directory. Primary key of domains, index addresses_by_domain.
REMOVE_DOMAIN: Final = Statement(
    "remove domain",
    """
    WITH used AS MATERIALIZED (
        SELECT FROM addresses WHERE substring(address from '[^@]*$') = %(domain)s LIMIT 1
    ), gone AS (
        DELETE FROM domains WHERE domain = %(domain)s AND NOT EXISTS (SELECT FROM used) RETURNING domain
    )
    SELECT EXISTS (SELECT FROM domains WHERE domain = %(domain)s), EXISTS (SELECT FROM used), count(*) FROM gone
    """,
)

# Holds the directory: the address is free for as long, and the domain stays. names, uses: INBOX
# and the folders that every account begins with.
ADD_ACCOUNT: Final = Statement(
    "add account",
    """
    WITH ours AS (
        SELECT 1 FROM domains WHERE domain = %(domain)s
    ), free AS (
        SELECT 1 FROM ours WHERE NOT EXISTS (SELECT FROM addresses WHERE address = %(address)s)
    ), made AS (
        INSERT INTO accounts (address) SELECT %(address)s FROM free RETURNING account_id
    ), named AS (
        INSERT INTO addresses (address, account_id) SELECT %(address)s, account_id FROM made
    ), secrets AS (
        INSERT INTO credentials (account_id, kind, version, secret)
        SELECT account_id, kind, 1, secret FROM made, unnest(ARRAY[1, 2], %(secrets)s::bytea[]) AS s (kind, secret)
    ), clock AS (
        SELECT extract(epoch FROM now())::bigint AS seconds
    ), folders AS (
        SELECT account_id, seconds, f.name, f.special_use, f.n
        FROM made, clock, unnest(%(names)s::text[], %(uses)s::text[]) WITH ORDINALITY AS f (name, special_use, n)
    ), state AS (
        INSERT INTO account_state
            (account_id, modseq, mailbox_next, last_uid_validity, quota_bytes, quota_messages)
        SELECT account_id, 1, max(n) + 1, max(seconds + n), %(quota_bytes)s, %(quota_messages)s
        FROM folders GROUP BY account_id
    ), mailboxes_made AS (
        INSERT INTO mailboxes (account_id, mailbox_id, name, special_use, object_id)
        SELECT account_id, n, name, special_use, 'M' || account_id || '-' || n FROM folders
    ), mailbox_states AS (
        INSERT INTO mailbox_state (account_id, mailbox_id, uid_validity, highest_modseq)
        SELECT account_id, n, seconds + n, 1 FROM folders
    ), subscribed AS (
        INSERT INTO subscriptions (account_id, name) SELECT account_id, name FROM folders
    ), logged AS (
        INSERT INTO changes (account_id, modseq, mailbox_id, kind) SELECT account_id, 1, n, 4 FROM folders
    )
    SELECT (SELECT account_id FROM made), EXISTS (SELECT FROM ours)
    """,
)

_ACCOUNT: Final = """
    SELECT a.account_id, a.address, a.is_enabled, s.quota_bytes, s.quota_messages, s.used_bytes, s.used_messages
    FROM accounts a CROSS JOIN LATERAL (SELECT * FROM account_state q WHERE q.account_id = a.account_id OFFSET 0) s
"""

# Primary keys of addresses, accounts, account_state.
FIND_ACCOUNT: Final = Statement(
    "find account",
    _ACCOUNT + "WHERE a.account_id = (SELECT account_id FROM addresses WHERE address = %(address)s)",
)

# Unique index of accounts by address.
LIST_ACCOUNTS: Final = Statement(
    "list accounts", _ACCOUNT + "WHERE a.address > %(after)s ORDER BY a.address LIMIT %(limit)s"
)

# Locks the account's row by itself.
SET_QUOTA: Final = Statement(
    "set quota",
    """
    UPDATE account_state SET quota_bytes = %(bytes)s, quota_messages = %(messages)s
    WHERE account_id = %(account_id)s RETURNING account_id
    """,
)

# Primary key of accounts.
SET_ENABLED: Final = Statement(
    "set enabled",
    "UPDATE accounts SET is_enabled = %(is_enabled)s WHERE account_id = %(account_id)s RETURNING account_id",
)

# Primary keys of addresses, accounts and account_state; mailboxes by name. Of each number's addresses the first counts;
# an alias has no account, and is expanded by a statement of its own.
RESOLVE: Final = Statement(
    "resolve",
    """
    SELECT DISTINCT ON (w.number) w.number, d.address, d.account_id, a.is_enabled, b.mailbox_id,
        (s.quota_bytes = 0 OR s.used_bytes + w.size <= s.quota_bytes)
        AND (s.quota_messages = 0 OR s.used_messages < s.quota_messages) AS fits
    FROM unnest(%(numbers)s::bigint[], %(addresses)s::text[], %(sizes)s::bigint[])
        WITH ORDINALITY AS w (number, address, size, rank)
    CROSS JOIN LATERAL (SELECT * FROM addresses WHERE address = w.address OFFSET 0) d
    LEFT JOIN LATERAL (SELECT is_enabled FROM accounts WHERE account_id = d.account_id OFFSET 0) a ON true
    LEFT JOIN LATERAL (SELECT * FROM account_state WHERE account_id = d.account_id OFFSET 0) s ON true
    LEFT JOIN LATERAL (
        SELECT mailbox_id FROM mailboxes WHERE account_id = d.account_id AND name = 'INBOX' OFFSET 0
    ) b ON true
    ORDER BY w.number, w.rank
    """,
)

# A postmaster that nobody named (RFC 5321 §4.5.1): the alias `postmaster`, or else the oldest account. Primary keys of
# domains and addresses, index accounts_enabled.
POSTMASTER: Final = Statement(
    "find postmaster",
    """
    SELECT coalesce(
        (SELECT address FROM addresses WHERE address = 'postmaster'),
        (SELECT address FROM accounts WHERE is_enabled AND account_id > 0 ORDER BY account_id LIMIT 1)
    ) WHERE %(domain)s = '' OR EXISTS (SELECT FROM domains WHERE domain = %(domain)s)
    """,
)

# Primary key of account_state.
USAGE: Final = Statement(
    "usage",
    """
    SELECT used_bytes, used_messages, quota_bytes, quota_messages FROM account_state
    WHERE account_id = %(account_id)s
    """,
)
