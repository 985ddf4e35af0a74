"""SQL of aliases: who they lead to, and how that changes.

The rule: whatever changes an address or what an alias leads to holds the directory (see `transaction`), and decides in
one statement; so nothing ever leads in a circle or nowhere.
"""

from typing import Final

from services.storage.transaction import Statement

# Primary keys of domains, addresses and alias_targets. targets: what is to be led to, each once. Nothing is written
# unless all of it may be.
ADD: Final = Statement(
    "add alias",
    """
    WITH RECURSIVE asked AS MATERIALIZED (
        SELECT %(address)s::text AS address,
            %(domain)s = '' OR EXISTS (SELECT FROM domains WHERE domain = %(domain)s) AS is_ours,
            EXISTS (SELECT FROM addresses WHERE address = %(address)s AND account_id IS NOT NULL) AS is_taken
    ), targets AS MATERIALIZED (
        SELECT target FROM unnest(%(targets)s::text[]) AS w (target)
        UNION SELECT target FROM alias_targets WHERE address = %(address)s
    ), missing AS MATERIALIZED (
        SELECT t.target FROM targets t
        LEFT JOIN LATERAL (SELECT address FROM addresses WHERE address = t.target OFFSET 0) d ON true
        WHERE d.address IS NULL
    ), reached (address) AS (
        SELECT target FROM targets
        UNION SELECT t.target FROM reached r
        CROSS JOIN LATERAL (SELECT target FROM alias_targets WHERE address = r.address OFFSET 0) t
    ), judged AS MATERIALIZED (
        SELECT a.address, a.is_ours, a.is_taken, (SELECT min(target) FROM missing) AS missing,
            EXISTS (SELECT FROM reached r WHERE r.address = a.address) AS is_loop,
            (SELECT count(*) FROM targets) > %(most_targets)s OR (SELECT count(*) FROM reached) > %(most_reached)s
                AS is_too_much
        FROM asked a
    ), good AS MATERIALIZED (
        SELECT address FROM judged
        WHERE is_ours AND NOT is_taken AND missing IS NULL AND NOT is_loop AND NOT is_too_much
    ), named AS (
        INSERT INTO addresses (address) SELECT address FROM good ON CONFLICT DO NOTHING
    ), led AS (
        INSERT INTO alias_targets (address, target) SELECT address, target FROM good, targets ON CONFLICT DO NOTHING
    )
    SELECT is_ours, is_taken, is_loop, missing, is_too_much, ARRAY(SELECT target FROM targets ORDER BY target)
    FROM judged
    """,
)

# Index aliases_by_address, then primary key of alias_targets.
LIST: Final = Statement(
    "list aliases",
    """
    SELECT d.address, ARRAY(SELECT target FROM alias_targets t WHERE t.address = d.address ORDER BY target)
    FROM addresses d WHERE d.account_id IS NULL AND d.address > %(after)s ORDER BY d.address LIMIT %(limit)s
    """,
)

# Index alias_targets_by_target, then primary key of alias_targets.
LIST_OF_TARGET: Final = Statement(
    "list aliases of target",
    """
    SELECT d.address, ARRAY(SELECT target FROM alias_targets t WHERE t.address = d.address ORDER BY target)
    FROM alias_targets d WHERE d.target = %(target)s AND d.address > %(after)s ORDER BY d.address LIMIT %(limit)s
    """,
)

# Primary keys of addresses and alias_targets, index alias_targets_by_target. Takes an alias, some of its targets, or
# (account_id is not 0) an account out; and each alias that then leads to no account.
CUT: Final = Statement(
    "cut address",
    """
    WITH RECURSIVE cut AS MATERIALIZED (
        SELECT address FROM addresses
        WHERE address = %(address)s AND coalesce(account_id, 0) = %(account_id)s AND NOT EXISTS (
            SELECT FROM unnest(%(targets)s::text[]) AS w (target)
            LEFT JOIN LATERAL (
                SELECT target FROM alias_targets WHERE address = %(address)s AND target = w.target OFFSET 0
            ) t ON true WHERE t.target IS NULL
        )
    ), taken_out AS MATERIALIZED (
        SELECT t.target FROM cut CROSS JOIN LATERAL (
            SELECT target FROM alias_targets WHERE address = cut.address
                AND (cardinality(%(targets)s::text[]) = 0 OR target = ANY(%(targets)s::text[])) OFFSET 0
        ) t
    ), above (address) AS (
        SELECT address FROM cut
        UNION SELECT t.address FROM above a
        CROSS JOIN LATERAL (SELECT address FROM alias_targets WHERE target = a.address OFFSET 0) t
    ), reached (root, address) AS (
        SELECT address, address FROM above
        UNION SELECT r.root, t.target FROM reached r
        CROSS JOIN LATERAL (SELECT target FROM alias_targets WHERE address = r.address OFFSET 0) t
        WHERE r.address <> %(address)s OR t.target <> ALL(ARRAY(SELECT target FROM taken_out))
    ), alive AS (
        SELECT r.root FROM reached r
        CROSS JOIN LATERAL (SELECT account_id FROM addresses WHERE address = r.address OFFSET 0) d
        WHERE d.account_id <> %(account_id)s
    ), dead AS MATERIALIZED (
        SELECT address FROM above EXCEPT SELECT root FROM alive
    ), targets_out AS (
        DELETE FROM alias_targets
        WHERE address = ANY(ARRAY(SELECT address FROM cut)) AND target = ANY(ARRAY(SELECT target FROM taken_out))
            AND address <> ALL(ARRAY(SELECT address FROM dead))
    ), dead_lead AS (
        DELETE FROM alias_targets WHERE address = ANY(ARRAY(SELECT address FROM dead))
    ), dead_led_to AS (
        DELETE FROM alias_targets WHERE target = ANY(ARRAY(SELECT address FROM dead))
            AND address <> ALL(ARRAY(SELECT address FROM dead))
    ), addresses_gone AS (
        DELETE FROM addresses WHERE address = ANY(ARRAY(SELECT address FROM dead))
    )
    SELECT address FROM cut
    """,
)

# Primary keys of addresses, alias_targets, accounts and account_state; mailboxes by name. The same columns as RESOLVE.
EXPAND: Final = Statement(
    "expand alias",
    """
    WITH RECURSIVE led (address, account_id) AS (
        SELECT address, account_id FROM addresses WHERE address = %(address)s
        UNION SELECT d.address, d.account_id FROM led
        CROSS JOIN LATERAL (SELECT target FROM alias_targets WHERE address = led.address OFFSET 0) t
        CROSS JOIN LATERAL (SELECT address, account_id FROM addresses WHERE address = t.target OFFSET 0) d
    ), reached AS MATERIALIZED (
        SELECT address, account_id FROM led WHERE account_id IS NOT NULL ORDER BY address LIMIT %(limit)s
    )
    SELECT r.address, r.account_id, a.is_enabled, b.mailbox_id,
        (s.quota_bytes = 0 OR s.used_bytes + %(size)s <= s.quota_bytes)
        AND (s.quota_messages = 0 OR s.used_messages < s.quota_messages) AS fits
    FROM reached r
    CROSS JOIN LATERAL (SELECT is_enabled FROM accounts WHERE account_id = r.account_id OFFSET 0) a
    CROSS JOIN LATERAL (SELECT * FROM account_state WHERE account_id = r.account_id OFFSET 0) s
    CROSS JOIN LATERAL (SELECT mailbox_id FROM mailboxes WHERE account_id = r.account_id AND name = 'INBOX' OFFSET 0) b
    ORDER BY r.address
    """,
)
