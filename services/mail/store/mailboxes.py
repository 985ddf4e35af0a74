"""Mailboxes: names, counters and what happened since: this part of the store's port.

The rule: no two mailboxes of an account ever have the same `uid_validity`, a later one has a greater, and the uids of
each only rise (RFC 9051 §2.3.1.1).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from services.mail.errors import InvalidName, SpecialUseRefused
from services.mail.store.uids import Runs

SEPARATOR: Final = "/"
INBOX: Final = "INBOX"
# Every account begins with INBOX and these, each with its use (RFC 6154 §2), all of them subscribed.
DEFAULT_FOLDERS: Final = (
    ("Drafts", "\\Drafts"),
    ("Sent", "\\Sent"),
    ("Junk", "\\Junk"),
    ("Trash", "\\Trash"),
    ("Archive", "\\Archive"),
)
# \\All and \\Flagged would be views of other mailboxes, and there are none.
SPECIAL_USES: Final = frozenset(use for _, use in DEFAULT_FOLDERS)
MAX_NAME_OCTETS: Final = 1000
# Clients make a folder of each level, and files have no longer names.
MAX_COMPONENT_OCTETS: Final = 255
MAX_DEPTH: Final = 50


class MailboxKey(NamedTuple):
    """What names a mailbox: its account, and its number there, which is never used again."""

    account_id: int
    mailbox_id: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox's identity. `special_use` is "" or an attribute of RFC 6154; `object_id` is RFC 8474's MAILBOXID."""

    key: MailboxKey
    name: str
    uid_validity: int
    special_use: str
    object_id: str


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """A mailbox's counters, all of one snapshot. `size` in octets; `first_recent` is the lowest uid still \\Recent."""

    uid_next: int
    highest_modseq: int
    first_recent: int
    messages: int
    unseen: int
    deleted: int
    size: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Mailboxes of an account, and names that are subscribed, whether they exist or not, by name, as one snapshot.

    statuses: of each mailbox in parallel; empty where nobody asked.
    """

    mailboxes: Sequence[Mailbox]
    subscribed: Sequence[str]
    statuses: Sequence[MailboxStatus] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A mailbox as one snapshot: counters, live uids as blocks and masks (see `uids`), the account's keywords.

    first_recent: messages from this uid up to `status.uid_next` are \\Recent to the session that claimed them.
    first_unseen: the lowest live uid without \\Seen; 0 where there is none, and where it lies far from both ends of a
    large mailbox, for nobody asked to search for it.
    """

    mailbox: Mailbox
    status: MailboxStatus
    blocks: Sequence[int]
    masks: Sequence[int]
    keywords: Sequence[str]
    first_recent: int
    first_unseen: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """What happened in a mailbox after a modseq, as one snapshot.

    added: live uids from the asked uid on. expunged: uids below it that went after the asked modseq.
    uids, flags, modseqs: in parallel, the live messages below it whose flags changed after the asked modseq.
    """

    status: MailboxStatus
    added: Runs
    expunged: Runs
    uids: Sequence[int]
    flags: Sequence[int]
    modseqs: Sequence[int]
    keywords: Sequence[str]


class Mailboxes(Protocol):
    """The mailboxes of every account."""

    async def list(self, account_id: int, prefix: str = "", with_statuses: bool = False) -> Listing:
        """Every mailbox and subscription whose name begins with `prefix`, in the order of code points."""
        ...

    async def create(
        self, account_id: int, name: str, special_use: str = "", request_id: UUID | None = None
    ) -> Mailbox:
        """Makes a mailbox, and its missing superiors. RFC 9051 §6.3.4, RFC 6154 §3.

        Repeated, it answers the mailbox that it made, under whatever name that has by now.
        Raises MailboxExists, InvalidName, SpecialUseRefused, LimitExceeded; MailboxNotFound (made, and gone since).
        """
        ...

    async def delete(self, account_id: int, name: str) -> MailboxKey:
        """Removes a mailbox and its messages, and says which; its subscription stays. RFC 9051 §6.3.5.

        Raises MailboxNotFound, HasChildren, InvalidName (INBOX).
        """
        ...

    async def rename(self, account_id: int, name: str, new_name: str) -> None:
        """Renames a mailbox and its inferiors. RFC 9051 §6.3.6.

        Raises MailboxNotFound, MailboxExists, InvalidName.
        """
        ...

    async def subscribe(self, account_id: int, name: str, is_subscribed: bool) -> None:
        """Sets whether a name is subscribed; it need not exist. RFC 9051 §6.3.7.

        Raises InvalidName, LimitExceeded.
        """
        ...

    async def status(self, account_id: int, name: str) -> tuple[Mailbox, MailboxStatus]:
        """A mailbox's counters by name. RFC 9051 §6.3.11. Raises MailboxNotFound."""
        ...

    async def open(self, account_id: int, name: str, claims_recent: bool) -> Opened:
        """What a view is built of. RFC 9051 §6.3.2.

        claims_recent: takes the \\Recent messages for the caller; nobody else is told them so.
        Raises MailboxNotFound.
        """
        ...

    async def claim_recent(self, mailbox: MailboxKey, uid_next: int) -> int:
        """Claims what is \\Recent below `uid_next`; answers the first uid claimed (uid_next for none).

        Raises MailboxNotFound.
        """
        ...

    async def highest_modseq(self, mailbox: MailboxKey) -> int:
        """The modseq of the mailbox's last change that is committed now. Raises MailboxNotFound."""
        ...

    async def sync(self, mailbox: MailboxKey, since: int, uid_next: int) -> Delta:
        """What happened after modseq `since` to messages below `uid_next`, and what was added from it on.

        Raises MailboxNotFound, BehindFloor.
        """
        ...


def canonical_name(name: str) -> str:
    """The one spelling of a mailbox name: NFC, INBOX in capitals, no separator at the end. RFC 9051 §5.1.

    Raises InvalidName: empty, empty or dotted components, control characters, wildcards, too long, too deep.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    name = name.removesuffix(SEPARATOR)
    parts = name.split(SEPARATOR)
    if parts[0].upper() == INBOX and parts[0].isascii():
        parts[0] = INBOX
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidName("a mailbox name has no empty or dotted components")
    if any(
        char < " " or char in "*%\x7f" or "\x80" <= char <= "\x9f" or char in "\u2028\u2029" for char in name
    ):
        raise InvalidName("a mailbox name has no wildcards and no control characters")
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise InvalidName("a mailbox name is Unicode text")
    if len(parts) > MAX_DEPTH or len(name.encode()) > MAX_NAME_OCTETS:
        raise InvalidName(f"a mailbox name has at most {MAX_DEPTH} levels and {MAX_NAME_OCTETS} octets")
    if any(len(part.encode()) > MAX_COMPONENT_OCTETS for part in parts):
        raise InvalidName(f"a level of a mailbox name has at most {MAX_COMPONENT_OCTETS} octets")
    return SEPARATOR.join(parts)


def superiors(name: str) -> list[str]:
    """The names above a name, the highest first."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]


def check_special_use(special_use: str) -> None:
    """Raises SpecialUseRefused for what no mailbox can be made with; "" is none."""
    if special_use and special_use not in SPECIAL_USES:
        raise SpecialUseRefused("This special use is not supported")
