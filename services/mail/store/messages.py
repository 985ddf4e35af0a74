"""Messages in a mailbox: append, fetch, flags, copy, expunge: this part of the store's port.

The rule: a uid's octets, size and dates never change; only its flags do. Columns of a page are parallel: row i of every
column that was asked for is the same message.
"""

from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum, IntFlag, auto
from typing import Any, Final, Protocol
from uuid import UUID

from services.mail.store.mailboxes import MailboxKey
from services.mail.store.sessions import MaildropLock
from services.mail.store.uids import Runs

Body = bytes | AsyncIterable[bytes]

# Bodies above this travel only through `read`; a page's `bodies` then holds None for them.
INLINE_OCTETS: Final = 256 * 1024


class Items(IntFlag):
    """What a fetch brings besides the uid."""

    FLAGS = auto()
    INTERNALDATE = auto()
    SIZE = auto()
    ENVELOPE = auto()
    STRUCTURE = auto()
    PARTS = auto()  # parts and heads
    HEADER = auto()
    BODY = auto()
    MODSEQ = auto()


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, ascending by uid, as columns; a column not asked for is empty.

    flags: bits (see `flags`). internal_at: seconds since 1970. sizes: octets. envelopes, structures: rendered as
    RFC 9051 §7.5.2 has them. parts: encoded part maps of the content (mime.PartMap). heads: octets of this recipient's
    trace headers in front of the content, by which the map shifts. headers: octets up to and with the empty line.
    bodies: all octets, or None above INLINE_OCTETS. keywords: the account's, by number, where flags were asked for.
    """

    uids: Sequence[int]
    flags: Sequence[int] = ()
    modseqs: Sequence[int] = ()
    internal_at: Sequence[int] = ()
    sizes: Sequence[int] = ()
    envelopes: Sequence[bytes] = ()
    structures: Sequence[bytes] = ()
    parts: Sequence[bytes] = ()
    heads: Sequence[int] = ()
    headers: Sequence[bytes] = ()
    bodies: Sequence[bytes | None] = ()
    keywords: Sequence[str] = field(default=())

    def between(self, first: int, last: int) -> "Page":
        """The rows from `first` on and before `last`."""
        columns: dict[str, Any] = {
            column.name: getattr(self, column.name)[first:last]
            for column in fields(self)
            if column.name != "keywords"
        }
        return Page(**columns, keywords=self.keywords)


class FlagChange(Enum):
    """What STORE does with its flags. RFC 9051 §6.4.6."""

    REPLACE = auto()
    ADD = auto()
    REMOVE = auto()


@dataclass(frozen=True, slots=True)
class Appended:
    """Where the message is now. RFC 4315 §3. previous_modseq: the mailbox's before this write."""

    uid_validity: int
    uid: int
    modseq: int
    previous_modseq: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Flags after a STORE, of every asked message that lives, in parallel columns.

    modified: left alone since their modseq was above `unchanged_since`. RFC 7162 §3.1.3.
    changed: those whose flags really changed. previous_modseq, highest_modseq: the mailbox's, before and after.
    """

    uids: Sequence[int]
    flags: Sequence[int]
    modseqs: Sequence[int]
    changed: Runs
    modified: Runs
    previous_modseq: int
    highest_modseq: int
    keywords: Sequence[str]


@dataclass(frozen=True, slots=True)
class Copied:
    """Sources and their copies, in the same order and number. RFC 4315 §3."""

    uid_validity: int
    sources: Runs
    targets: Runs


@dataclass(frozen=True, slots=True)
class Expunged:
    """What went. previous_modseq, highest_modseq: the mailbox's, before and after; equal when nothing went."""

    uids: Runs
    previous_modseq: int
    highest_modseq: int


class Messages(Protocol):
    """The messages of every mailbox."""

    async def append(
        self,
        mailbox: MailboxKey,
        body: Body,
        size: int,
        flags: Collection[str] = (),
        internal_at: int | None = None,
        request_id: UUID | None = None,
    ) -> Appended:
        """Adds one message; it is durable when this returns. RFC 9051 §6.3.12.

        size: octets, exact; a body of another length is refused and leaves nothing behind.
        internal_at: seconds since 1970; None is now.
        Raises MailboxNotFound, MessageTooLarge, InvalidMessage, OverQuota, LimitExceeded.
        """
        ...

    def fetch(self, mailbox: MailboxKey, uids: Runs, items: Items) -> AsyncIterator[Page]:
        """Messages by uid, in pages of at most 1,000 rows and about 1 MB; uids that do not live are left out.

        The next page is read from the database only when it is asked for. A message expunged a moment ago may still be
        fetched by a session that was not told yet. Raises MailboxNotFound.
        """
        ...

    def read(self, mailbox: MailboxKey, uid: int, start: int, end: int) -> AsyncIterator[bytes]:
        """The octets [start, end) of one message, in chunks of at most 256 KB. Raises MessageGone."""
        ...

    async def store(
        self,
        mailbox: MailboxKey,
        uids: Runs,
        change: FlagChange,
        flags: Collection[str],
        unchanged_since: int | None = None,
        request_id: UUID | None = None,
    ) -> Stored:
        """Changes flags; nothing is written where nothing changes. RFC 9051 §6.4.6, RFC 7162 §3.1.3.

        Raises MailboxNotFound, InvalidArgument, LimitExceeded (keywords).
        """
        ...

    async def copy(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        """Copies messages with flags and dates to a mailbox of the same account: all, or none. RFC 9051 §6.4.7.

        Raises MailboxNotFound, OverQuota.
        """
        ...

    async def move(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        """Copies messages as `copy` does and removes them here, in one transaction. RFC 6851 §3.3.

        No quota is looked at: as much goes as comes. Raises MailboxNotFound.
        """
        ...

    async def expunge(
        self,
        mailbox: MailboxKey,
        uids: Runs | None = None,
        even_undeleted: bool = False,
        maildrop: MaildropLock | None = None,
        request_id: UUID | None = None,
    ) -> Expunged:
        """Removes those messages that have \\Deleted. RFC 9051 §6.4.3, RFC 4315 §2.1.

        uids: only among these; None is all. even_undeleted: whether they have \\Deleted or not (RFC 1939 §6).
        maildrop: refused unless this lock still holds. Raises MailboxNotFound, LockLost.
        """
        ...
