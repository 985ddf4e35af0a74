"""Every table, as SQLAlchemy knows it; the migrations make them.

The rule: what belongs to an account leads its primary key and its indexes with `account_id`, so that one database can
become many. There are no foreign keys between hot tables; `verify` is the check. Column STORAGE is set in the
migration.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INT8MULTIRANGE, JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def _key(name: str, type_: type[TypeEngine[Any]] = BigInteger) -> Column[object]:
    return Column(name, type_, primary_key=True, autoincrement=False)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=text("''"))


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


# Our domains. Small and shared: an address is unique over the whole installation.
domains = Table("domains", metadata, _key("domain", Text), _now("created_at"))

# An address, canonical, and whose it is; an alias is nobody's. Whoever changes this table, or what aliases lead to,
# holds row 0 of account_state, which is no account's.
addresses = Table(
    "addresses",
    metadata,
    _key("address", Text),
    Column("account_id", BigInteger),
    Index("addresses_by_account", "account_id"),
    Index("addresses_by_domain", text("substring(address, '[^@]*$')")),
    Index("aliases_by_address", "address", postgresql_where=text("account_id IS NULL")),
)

# Where letters to an alias go: addresses, of accounts or aliases. Never in a circle.
alias_targets = Table(
    "alias_targets",
    metadata,
    _key("address", Text),
    _key("target", Text),
    Index("alias_targets_by_target", "target", "address"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", BigInteger, Identity(always=True), primary_key=True),
    Column("address", Text, nullable=False, unique=True),
    Column("is_enabled", Boolean, nullable=False, server_default=text("true")),
    _now("created_at"),
    Index("accounts_enabled", "account_id", postgresql_where=text("is_enabled")),
)

# Accounts that were removed: their sessions end, and the sweeper removes what they held.
removed_accounts = Table("removed_accounts", metadata, _key("account_id"), _now("at"))

# A secret. kind: 1 argon2id, 2 the keys of SCRAM-SHA-256 made of the same password (iterations, StoredKey, ServerKey),
# 3 APOP's, sealed. version grows with every change, and binds what a process remembers of a login.
credentials = Table(
    "credentials",
    metadata,
    _key("account_id"),
    _key("kind", SmallInteger),
    Column("version", BigInteger, nullable=False),
    Column("secret", LargeBinary, nullable=False),
)

# Keys of this installation, made with the table. logins: what salts and hashes that all copies share are made with.
keys = Table("keys", metadata, _key("name", Text), Column("key", LargeBinary, nullable=False))

# A password for one program. scopes: bits of `services.mail.store.accounts.Scope`. hash: with the key `logins`; it is
# random. scram_keys: as in credentials. used_at: kept to ten minutes.
app_passwords = Table(
    "app_passwords",
    metadata,
    _key("account_id"),
    _key("app_password_id", Integer),
    Column("label", Text, nullable=False),
    Column("scopes", SmallInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("scram_keys", LargeBinary, nullable=False),
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True)),
    Column("used_at", DateTime(timezone=True)),
)

# Hot and narrow. Whoever writes to an account locks its row first. Modseqs up to log_floor may be gone from `changes`.
account_state = Table(
    "account_state",
    metadata,
    _key("account_id"),
    _count("modseq"),
    _count("log_floor"),
    Column("body_next", BigInteger, nullable=False, server_default=text("1")),
    Column("mailbox_next", BigInteger, nullable=False, server_default=text("1")),
    _count("last_uid_validity"),
    _count("used_bytes"),
    _count("used_messages"),
    _count("quota_bytes"),
    _count("quota_messages"),
    postgresql_with={"fillfactor": 25},
)

mailboxes = Table(
    "mailboxes",
    metadata,
    _key("account_id"),
    _key("mailbox_id"),
    # By code point, so that what lies below a name is a range of the index.
    Column("name", Text(collation="C"), nullable=False),
    _text("special_use"),
    Column("object_id", Text, nullable=False),
    Index("mailboxes_by_name", "account_id", "name", unique=True),
    # Of each use an account has one mailbox (RFC 6154 §3).
    Index(
        "mailboxes_by_use",
        "account_id",
        "special_use",
        unique=True,
        postgresql_where=text("special_use <> ''"),
    ),
)

# Hot and narrow; locked after account_state. uid_validity never changes, and is here since a delivery answers it.
mailbox_state = Table(
    "mailbox_state",
    metadata,
    _key("account_id"),
    _key("mailbox_id"),
    Column("uid_validity", BigInteger, nullable=False),
    Column("uid_next", BigInteger, nullable=False, server_default=text("1")),
    _count("highest_modseq"),
    Column("first_recent", BigInteger, nullable=False, server_default=text("1")),
    _count("messages"),
    _count("unseen"),
    _count("deleted"),
    _count("bytes"),
    postgresql_with={"fillfactor": 25},
)

# A subscribed name outlives its mailbox (RFC 9051 §6.3.7).
subscriptions = Table(
    "subscriptions",
    metadata,
    _key("account_id"),
    Column("name", Text(collation="C"), primary_key=True),
)

# Keyword `number` of the account is bit 6 + number of the flags, for good.
keywords = Table(
    "keywords",
    metadata,
    _key("account_id"),
    _key("number"),
    Column("name", Text, nullable=False),
)

# Immutable, about 1 KB: what a listing needs and nothing more.
messages = Table(
    "messages",
    metadata,
    _key("account_id"),
    _key("mailbox_id"),
    _key("uid"),
    Column("body_id", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("internal_at", BigInteger, nullable=False),
    Column("saved_at", BigInteger, nullable=False),
    Column("thread_id", BigInteger),
    Column("structure_version", SmallInteger, nullable=False),
    Column("envelope", LargeBinary, nullable=False),
    Column("structure", LargeBinary, nullable=False),
    Column("preview", Text),
)

# 64 consecutive uids: element (uid - 1) % 64 + 1 of each array, always. more_keywords: of keywords from number 58 on,
# {number: mask of the elements that have it}.
flag_blocks = Table(
    "flag_blocks",
    metadata,
    _key("account_id"),
    _key("mailbox_id"),
    _key("block"),
    Column("live", BigInteger, nullable=False),
    Column("flags", ARRAY(BigInteger), nullable=False),
    Column("modseqs", ARRAY(BigInteger), nullable=False),
    Column("sizes", ARRAY(BigInteger), nullable=False),
    Column("more_keywords", JSONB),
    postgresql_with={"fillfactor": 50},
)

# What POP3 tells of an imported message instead of an id of its own making (RFC 1939 §7).
unique_ids = Table(
    "unique_ids",
    metadata,
    _key("account_id"),
    _key("mailbox_id"),
    _key("uid"),
    Column("unique_id", Text, nullable=False),
)

# Stored octets: `head` are this recipient's trace headers, `content` the letter, or the upload that holds it.
# header: octets of the content up to and with its empty line. Shared by COPY; see body_shares.
bodies = Table(
    "bodies",
    metadata,
    _key("account_id"),
    _key("body_id"),
    Column("size", BigInteger, nullable=False),
    Column("header", BigInteger, nullable=False),
    Column("encoding", SmallInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("parts", LargeBinary, nullable=False),
    Column("content", LargeBinary),
    Column("upload_id", Uuid),
    Column("hash", LargeBinary, nullable=False),
    # What the sender wants to be told (RFC 3461 §4).
    Column("dsn", LargeBinary),
    Index("bodies_by_upload", "upload_id", postgresql_where=text("upload_id IS NOT NULL")),
    postgresql_with={"toast_tuple_target": 8160},
)

# How many messages beyond the first name a body; a row exists only where COPY made one.
body_shares = Table("body_shares", metadata, _key("account_id"), _key("body_id"), _count("copies"))

# All header fields, decoded and folded (see services.mail.search.texts), written behind delivery. Narrow, and apart
# from the bodies: what most searches look at. sent: the Date field's day, in days since 1970-01-01.
header_text = Table(
    "header_text",
    metadata,
    _key("account_id"),
    _key("body_id"),
    Column("sent", Integer),
    Column("folded", Text, nullable=False),
    postgresql_with={"toast_tuple_target": 8160},
)

# Decoded text, folded, written together with header_text; NULL where it is too long to be kept.
body_text = Table(
    "body_text",
    metadata,
    _key("account_id"),
    _key("body_id"),
    Column("folded", Text),
    postgresql_with={"toast_tuple_target": 8160},
)

# 256 KB each, but for the last; written before any lock.
body_chunks = Table(
    "body_chunks",
    metadata,
    _key("upload_id", Uuid),
    _key("chunk_no", Integer),
    Column("data", LargeBinary, nullable=False),
)

# Uploads that no body names yet.
uploads = Table("uploads", metadata, _key("upload_id", Uuid), _now("at"))

# The log. kind: see services.mail.store.changes. runs: exact but for flags, which round to blocks.
changes = Table(
    "changes",
    metadata,
    _key("account_id"),
    _key("modseq"),
    _key("mailbox_id"),
    _key("kind", SmallInteger),
    Column("runs", INT8MULTIRANGE),
    _now("at"),
    Index("changes_by_mailbox", "account_id", "mailbox_id", "modseq"),
)

# What the sweeper has still to remove.
expunged = Table(
    "expunged",
    metadata,
    _key("account_id"),
    _key("mailbox_id"),
    _key("modseq"),
    Column("runs", INT8MULTIRANGE, nullable=False),
    _now("at"),
)

# What a write answered, in numbers whose meaning its statement knows.
requests = Table(
    "requests",
    metadata,
    _key("account_id"),
    _key("request_id", Uuid),
    Column("answer", ARRAY(BigInteger), nullable=False),
    _now("at"),
)

processes = Table(
    "processes",
    metadata,
    _key("process_id", Uuid),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    _key("account_id"),
    _key("session_id", Uuid),
    Column("process_id", Uuid, nullable=False),
    Column("door", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    _count("mailbox_id"),
    _count("expunged_to"),
    Column("is_ending", Boolean, nullable=False, server_default=text("false")),
    # Operators end a session by its id alone.
    Index("sessions_by_id", "session_id", unique=True),
    Index("sessions_by_process", "process_id"),
)

pop3_locks = Table(
    "pop3_locks",
    metadata,
    _key("account_id"),
    Column("epoch", BigInteger, nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
)

# key: "login " and a login, or "network " and a network. tried_until: while a copy tries a password for this login.
login_failures = Table(
    "login_failures",
    metadata,
    _key("key", Text),
    Column("failures", BigInteger, nullable=False),
    _now("last_at"),
    Column("tried_until", DateTime(timezone=True), nullable=False, server_default=text("'-infinity'")),
    Column("recent", ARRAY(LargeBinary), nullable=False, server_default=text("'{}'")),
)

# What became of letters, for some days. Of the whole installation: a refused letter has no account. at: microseconds
# since 1970; account_id 0: not delivered.
traces = Table(
    "traces",
    metadata,
    Column("trace_id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("letter_id", Uuid),
    _count("account_id"),
    _count("mailbox_id"),
    _count("uid"),
    _count("size"),
    _text("sender"),
    _text("recipient"),
    _text("message_id"),
    _text("peer"),
    _text("detail"),
    Index("traces_by_letter", "letter_id", "at", "trace_id", postgresql_where=text("letter_id IS NOT NULL")),
    Index("traces_by_account", "account_id", "at", "trace_id", postgresql_where=text("account_id <> 0")),
    Index("traces_by_message_id", "message_id", "at", "trace_id", postgresql_where=text("message_id <> ''")),
    Index("traces_by_recipient", "recipient", "at", "trace_id", postgresql_where=text("recipient <> ''")),
    Index("traces_by_sender", "sender", "at", "trace_id", postgresql_where=text("sender <> ''")),
)
