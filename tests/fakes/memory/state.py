"""What the store in memory holds: accounts, their folders, their messages and their log.

The rule: `Ledger.write` is the only place that takes a modseq, and a write that changes nothing takes none.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from uuid import UUID

from services.mail.errors import (
    AccountUnknown,
    InvalidMessage,
    LimitExceeded,
    MailboxNotFound,
    MessageTooLarge,
    OverQuota,
)
from services.mail.store.accounts import Account, Quota
from services.mail.store.changes import Change, ChangeKind
from services.mail.store.credentials import NewAppPassword
from services.mail.store.flags import DELETED, MAX_KEYWORDS, SEEN, canonical_flag, flag_bits
from services.mail.store.mailboxes import Mailbox, MailboxKey, MailboxStatus, canonical_name
from services.mail.store.messages import Body
from services.mail.store.sessions import Process, Session
from services.mail.store.traces import Trace
from services.mail.store.uids import Runs
from tests.fakes.memory.content import Content


@dataclass(slots=True)
class Message:
    """One message in one folder; only flags and modseq ever change."""

    uid: int
    head: bytes
    content: Content
    flags: int
    modseq: int
    internal_at: int

    @property
    def octets(self) -> bytes:
        """The message as it goes out."""
        return self.head + self.content.octets

    @property
    def size(self) -> int:
        """Octets of the message as it goes out."""
        return len(self.head) + len(self.content.octets)


@dataclass(slots=True)
class Folder:
    """A mailbox: the messages that live in it, and those that went."""

    mailbox: Mailbox
    highest_modseq: int
    uid_next: int = 1
    first_recent: int = 1
    live: dict[int, Message] = field(default_factory=dict)
    gone: dict[int, Message] = field(default_factory=dict)
    imported: dict[UUID, int] = field(default_factory=dict)
    unique_ids: dict[int, str] = field(default_factory=dict)

    def status(self) -> MailboxStatus:
        """The counters, counted."""
        messages = self.live.values()
        return MailboxStatus(
            uid_next=self.uid_next,
            highest_modseq=self.highest_modseq,
            first_recent=self.first_recent,
            messages=len(messages),
            unseen=sum(not message.flags & SEEN for message in messages),
            deleted=sum(bool(message.flags & DELETED) for message in messages),
            size=sum(message.size for message in messages),
        )

    def place(self, content: Content, head: bytes, flags: int, modseq: int, internal_at: int) -> int:
        """Adds a message under the next uid."""
        uid = self.uid_next
        self.live[uid] = Message(uid, head, content, flags, modseq, internal_at)
        self.uid_next += 1
        self.highest_modseq = modseq
        return uid


@dataclass(slots=True)
class Ledger:
    """An account with all that it holds."""

    account: Account
    password: bytes
    apop_secret: bytes | None = None
    apps: dict[int, NewAppPassword] = field(default_factory=dict)
    last_app: int = 0
    modseq: int = 0
    log_floor: int = 0
    last_uid_validity: int = 0
    last_mailbox_id: int = 0
    folders: dict[int, Folder] = field(default_factory=dict)
    subscribed: set[str] = field(default_factory=set)
    keywords: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    answers: dict[UUID, object] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, *rows: tuple[int, ChangeKind, Runs]) -> int:
        """Logs what happened as one modseq, tells the followers, and answers the modseq."""
        self.modseq += 1
        self.changes += [Change(self.account.account_id, self.modseq, *row) for row in rows]
        self.changed.set()
        self.changed = asyncio.Event()
        return self.modseq

    def used(self) -> tuple[int, int]:
        """Octets and messages."""
        statuses = [folder.status() for folder in self.folders.values()]
        return sum(status.size for status in statuses), sum(status.messages for status in statuses)

    def check_room(self, octets: int, messages: int) -> None:
        """Raises OverQuota where so much more does not fit."""
        used_octets, used_messages = self.used()
        self.check_total(used_octets + octets, used_messages + messages)

    def check_total(self, octets: int, messages: int) -> None:
        """Raises OverQuota where the account cannot hold so much."""
        quota = self.account.quota
        if (quota.bytes and octets > quota.bytes) or (quota.messages and messages > quota.messages):
            raise OverQuota

    def folder(self, name: str) -> Folder:
        """The folder of a name in any spelling. Raises MailboxNotFound."""
        canonical = canonical_name(name)
        for folder in self.folders.values():
            if folder.mailbox.name == canonical:
                return folder
        raise MailboxNotFound

    def bits(self, names: Collection[str], is_adding: bool = True) -> int:
        """The bits of flags; new keywords get a number, or are left out where there is none and nothing is added.

        Raises InvalidArgument, LimitExceeded.
        """
        canonical = [canonical_flag(name) for name in names]
        _, unknown = flag_bits(canonical, self.keywords)
        if len(self.keywords) + len(unknown) <= MAX_KEYWORDS:
            self.keywords += unknown
        elif is_adding:
            raise LimitExceeded
        return flag_bits(canonical, self.keywords)[0]

    def add_folder(self, name: str, special_use: str, now: int) -> Folder:
        """Makes a folder of a canonical name; whoever calls logs it with the next modseq."""
        self.last_mailbox_id += 1
        self.last_uid_validity = max(self.last_uid_validity + 1, now)
        key = MailboxKey(self.account.account_id, self.last_mailbox_id)
        object_id = f"M{key.account_id}-{key.mailbox_id}"
        mailbox = Mailbox(key, name, self.last_uid_validity, special_use, object_id)
        folder = self.folders[key.mailbox_id] = Folder(mailbox, highest_modseq=self.modseq + 1)
        return folder


@dataclass(slots=True)
class State:
    """The installation."""

    clock: Callable[[], float]
    max_message_octets: int
    domains: set[str] = field(default_factory=set)
    # Bearer tokens that are good, and whose they are.
    tokens: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, set[str]] = field(default_factory=dict)
    ledgers: dict[int, Ledger] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    last_account_id: int = 0
    processes: dict[UUID, tuple[Process, float]] = field(default_factory=dict)
    sessions: dict[UUID, tuple[UUID, Session]] = field(default_factory=dict)
    ending: set[UUID] = field(default_factory=set)
    maildrops: dict[int, tuple[int, float]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)

    def now(self) -> int:
        """Seconds since 1970."""
        return int(self.clock())

    def accounts_by_address(self) -> dict[str, Ledger]:
        """Every account."""
        return {ledger.account.address: ledger for ledger in self.ledgers.values()}

    def reached(self, addresses: Collection[str]) -> set[str]:
        """These and whatever they lead to, accounts and aliases."""
        found: set[str] = set()
        new = set(addresses)
        while new:
            found |= new
            new = {target for address in new for target in self.aliases.get(address, ())} - found
        return found

    def ledger(self, account_id: int) -> Ledger:
        """Raises AccountUnknown."""
        if account_id not in self.ledgers:
            raise AccountUnknown
        return self.ledgers[account_id]

    def folder(self, key: MailboxKey) -> Folder:
        """Raises MailboxNotFound."""
        if key.account_id not in self.ledgers or key.mailbox_id not in self.ledgers[key.account_id].folders:
            raise MailboxNotFound
        return self.ledgers[key.account_id].folders[key.mailbox_id]

    def replace_account(self, account_id: int, **values: Quota | bool) -> None:
        """Changes an account's own row. Raises AccountUnknown."""
        ledger = self.ledger(account_id)
        fields = {name: getattr(ledger.account, name) for name in Account.__slots__}
        ledger.account = Account(**(fields | values))

    def trim(self, account_id: int) -> None:
        """Forgets the log so far, as the sweeper does one day; whoever asks for it is behind the floor."""
        ledger = self.ledger(account_id)
        ledger.log_floor = ledger.modseq
        ledger.changes.clear()

    async def take(self, body: Body, size: int | None) -> Content:
        """Reads and scans a body. Raises MessageTooLarge, InvalidMessage where it is not of its size."""
        if size is not None and size > self.max_message_octets:
            raise MessageTooLarge
        octets = bytearray()
        if isinstance(body, bytes):
            octets += body
        else:
            async for chunk in body:
                octets += chunk
                if len(octets) > self.max_message_octets:
                    raise MessageTooLarge
        if len(octets) > self.max_message_octets:
            raise MessageTooLarge
        if size is not None and len(octets) != size:
            raise InvalidMessage(f"{len(octets)} octets came, {size} were announced")
        return Content(bytes(octets))
