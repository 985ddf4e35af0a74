"""SQL of logins and of what they are made with."""

from typing import Final

from services.storage.transaction import Statement

# Primary key of keys.
FIND_KEY: Final = Statement("find key", "SELECT key FROM keys WHERE name = 'logins'")

# Primary key of accounts.
FIND_ADDRESS: Final = Statement(
    "find address", "SELECT address FROM accounts WHERE account_id = %(account_id)s"
)

# Primary key of credentials, in its order: whoever makes keys of an old password locks the first row.
SET_PASSWORD: Final = Statement(
    "set password",
    """
    INSERT INTO credentials (account_id, kind, version, secret)
    SELECT account_id, kind, 1, secret
    FROM accounts, unnest(ARRAY[1, 2], %(secrets)s::bytea[]) WITH ORDINALITY AS s (kind, secret, rank)
    WHERE account_id = %(account_id)s ORDER BY rank
    ON CONFLICT (account_id, kind) DO UPDATE SET version = credentials.version + 1, secret = EXCLUDED.secret
    RETURNING version
    """,
)

# Primary key of credentials.
SET_APOP_SECRET: Final = Statement(
    "set apop secret",
    """
    INSERT INTO credentials (account_id, kind, version, secret)
    SELECT account_id, 3, 1, %(secret)s FROM accounts WHERE account_id = %(account_id)s
    ON CONFLICT (account_id, kind) DO UPDATE SET version = credentials.version + 1, secret = EXCLUDED.secret
    RETURNING version
    """,
)

# Primary keys of credentials and accounts.
REMOVE_APOP_SECRET: Final = Statement(
    "remove apop secret",
    """
    WITH gone AS (DELETE FROM credentials WHERE account_id = %(account_id)s AND kind = 3)
    SELECT account_id FROM accounts WHERE account_id = %(account_id)s
    """,
)

# Locks the password's row by the primary key of credentials, since it may be replaced meanwhile.
ADD_SCRAM_KEYS: Final = Statement(
    "add scram keys",
    """
    WITH held AS MATERIALIZED (
        SELECT account_id FROM credentials
        WHERE account_id = %(account_id)s AND kind = 1 AND version = %(version)s FOR UPDATE
    )
    INSERT INTO credentials (account_id, kind, version, secret) SELECT account_id, 2, 1, %(secret)s FROM held
    ON CONFLICT (account_id, kind) DO UPDATE SET version = credentials.version + 1, secret = EXCLUDED.secret
    """,
)

# Seconds until the next try, by what failed before.
_WAITS: Final = """
    extract(epoch FROM last_at - clock_timestamp())::float8 + coalesce((%(delays)s::bigint[])[
        least(failures - CASE WHEN key = %(login_key)s THEN %(free)s::bigint ELSE %(free_network)s::bigint END,
              cardinality(%(delays)s::bigint[]))], 0)
"""

# Primary keys of addresses, accounts, account_state, credentials, app_passwords; of login_failures for the two keys.
LOGIN: Final = Statement(
    "login",
    f"""
    SELECT a.account_id, a.address, a.is_enabled, s.quota_bytes, s.quota_messages, c.version, c.secret, f.waits,
        f.has_failed, k.secret, p.ids, p.hashes, p.scram_keys, p.are_stale
    FROM (
        SELECT max({_WAITS}) AS waits, bool_or(key = %(login_key)s) AS has_failed
        FROM login_failures WHERE key IN (%(login_key)s, %(network_key)s)
    ) f
    LEFT JOIN LATERAL (SELECT account_id FROM addresses WHERE address = %(address)s OFFSET 0) d ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE account_id = d.account_id OFFSET 0) a ON true
    LEFT JOIN LATERAL (SELECT * FROM account_state WHERE account_id = d.account_id OFFSET 0) s ON true
    LEFT JOIN LATERAL (
        SELECT version, secret FROM credentials WHERE account_id = d.account_id AND kind = %(kind)s::smallint OFFSET 0
    ) c ON true
    LEFT JOIN LATERAL (
        SELECT secret FROM credentials WHERE account_id = d.account_id AND kind = 2 OFFSET 0
    ) k ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(app_password_id) AS ids, array_agg(hash) AS hashes, array_agg(scram_keys) AS scram_keys,
            array_agg(used_at IS NULL OR used_at < now() - interval '10 minutes') AS are_stale
        FROM app_passwords WHERE account_id = d.account_id AND scopes & %(scope)s::smallint <> 0
            AND (expires_at IS NULL OR expires_at > now())
    ) p ON true
    """,
)

# Locks one row of login_failures, and waits for nothing else. Who takes the turn counts or forgets, and so gives it up.
TAKE_TURN: Final = Statement(
    "take turn at login",
    f"""
    WITH held AS MATERIALIZED (
        SELECT tried_until <= clock_timestamp() AS is_free, {_WAITS} AS waits
        FROM login_failures WHERE key = %(login_key)s FOR UPDATE
    ), taken AS (
        UPDATE login_failures SET tried_until = clock_timestamp() + interval '10 seconds' FROM held
        WHERE key = %(login_key)s AND is_free AND waits <= 0
    )
    SELECT is_free, waits FROM held
    """,
)

# Locks one row of login_failures for each key, in the order of the keys, and waits for nothing else. What is known from
# the last quarter of an hour is not counted again, and makes nobody wait longer.
COUNT_FAILURE: Final = Statement(
    "count login failure",
    """
    INSERT INTO login_failures AS f (key, failures, recent)
    SELECT key, 1, %(marks)s::bytea[] FROM unnest(%(keys)s::text[]) AS k (key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        failures = CASE WHEN f.last_at < now() - interval '15 minutes' THEN 1
            WHEN f.recent && EXCLUDED.recent THEN f.failures ELSE f.failures + 1 END,
        last_at = CASE WHEN f.last_at >= now() - interval '15 minutes' AND f.recent && EXCLUDED.recent THEN f.last_at
            ELSE clock_timestamp() END,
        recent = CASE WHEN f.last_at < now() - interval '15 minutes' THEN EXCLUDED.recent
            WHEN f.recent && EXCLUDED.recent THEN f.recent
            ELSE (f.recent || EXCLUDED.recent)[greatest(cardinality(f.recent) - 14, 1):] END,
        tried_until = '-infinity'
    """,
)

# Primary key of login_failures.
FORGET_FAILURES: Final = Statement(
    "forget login failures", "DELETE FROM login_failures WHERE key = %(login_key)s"
)

# Primary keys of app_passwords and accounts. Two that are added at once may want one number; the second does it again.
ADD_APP: Final = Statement(
    "add app password",
    """
    WITH known AS (
        SELECT coalesce(max(app_password_id), 0) AS last, count(*) AS n
        FROM app_passwords WHERE account_id = %(account_id)s
    )
    INSERT INTO app_passwords (account_id, app_password_id, label, scopes, hash, scram_keys, expires_at)
    SELECT %(account_id)s, last + 1, %(label)s, %(scopes)s::smallint, %(hash)s, %(scram_keys)s,
        to_timestamp(nullif(%(expires_at)s::bigint, 0))
    FROM known WHERE n < %(most)s::bigint AND EXISTS (SELECT FROM accounts WHERE account_id = %(account_id)s)
    RETURNING app_password_id, extract(epoch FROM created_at)::bigint
    """,
)

# Primary key of app_passwords.
LIST_APPS: Final = Statement(
    "list app passwords",
    """
    SELECT app_password_id, label, scopes, extract(epoch FROM created_at)::bigint,
        coalesce(extract(epoch FROM expires_at)::bigint, 0), coalesce(extract(epoch FROM used_at)::bigint, 0)
    FROM app_passwords WHERE account_id = %(account_id)s ORDER BY app_password_id
    """,
)

# Primary key of app_passwords.
REMOVE_APP: Final = Statement(
    "remove app password",
    """
    DELETE FROM app_passwords WHERE account_id = %(account_id)s AND app_password_id = %(id)s
    RETURNING app_password_id
    """,
)

# Locks one row by the primary key of app_passwords.
USE_APP: Final = Statement(
    "use app password",
    "UPDATE app_passwords SET used_at = now() WHERE account_id = %(account_id)s AND app_password_id = %(id)s",
)
