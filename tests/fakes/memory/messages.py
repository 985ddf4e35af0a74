"""Messages in memory: append, fetch, flags, copy, expunge."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from services.mail.errors import MailboxNotFound, MessageGone, StoreUnavailable
from services.mail.message import header_size
from services.mail.store.changes import ChangeKind
from services.mail.store.flags import DELETED
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import (
    INLINE_OCTETS,
    Appended,
    Body,
    Copied,
    Expunged,
    FlagChange,
    Items,
    Page,
    Stored,
)
from services.mail.store.sessions import MaildropLock
from services.mail.store.uids import BLOCK, Run, Runs, normalise, runs_of
from tests.fakes.memory.sessions import check_maildrop
from tests.fakes.memory.state import Ledger, Message, State

Value = TypeVar("Value")

PAGE_ROWS = 1000
PAGE_OCTETS = 1024 * 1024
CHUNK_OCTETS = 256 * 1024


@dataclass(frozen=True, slots=True)
class MemoryMessages:
    """The port's Messages."""

    state: State

    async def append(
        self,
        mailbox: MailboxKey,
        body: Body,
        size: int,
        flags: Collection[str] = (),
        internal_at: int | None = None,
        request_id: UUID | None = None,
    ) -> Appended:
        """Adds one message."""
        self.state.folder(mailbox)
        content = await self.state.take(body, size)
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        if request_id is not None and isinstance(answer := ledger.answers.get(request_id), Appended):
            return answer
        if request_id in ledger.answers:
            raise StoreUnavailable
        ledger.check_room(len(content.octets), 1)
        previous, bits = folder.highest_modseq, ledger.bits(flags)
        at = self.state.now() if internal_at is None else internal_at
        uid = folder.place(content, b"", bits, ledger.modseq + 1, at)
        modseq = ledger.write((mailbox.mailbox_id, ChangeKind.ADDED, ((uid, uid),)))
        appended = Appended(folder.mailbox.uid_validity, uid, modseq, previous)
        if request_id is not None:
            ledger.answers[request_id] = appended
        return appended

    async def fetch(self, mailbox: MailboxKey, uids: Runs, items: Items) -> AsyncIterator[Page]:
        """Messages that live, and those that went a moment ago, in pages."""
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        rows: list[Message] = []
        octets = 0
        for uid in sorted(_members(folder.live | folder.gone, uids)):
            message = folder.live.get(uid) or folder.gone[uid]
            rows.append(message)
            octets += message.size if Items.BODY in items and message.size <= INLINE_OCTETS else 1000
            if len(rows) == PAGE_ROWS or octets >= PAGE_OCTETS:
                yield _page(ledger, rows, items)
                rows, octets = [], 0
        if rows:
            yield _page(ledger, rows, items)

    async def read(self, mailbox: MailboxKey, uid: int, start: int, end: int) -> AsyncIterator[bytes]:
        """The octets [start, end), as far as there are any."""
        try:
            folder = self.state.folder(mailbox)
        except MailboxNotFound:
            raise MessageGone from None
        message = folder.live.get(uid) or folder.gone.get(uid)
        if message is None:
            raise MessageGone
        octets = message.octets[max(start, 0) : max(end, 0)]
        for offset in range(0, len(octets), CHUNK_OCTETS):
            yield octets[offset : offset + CHUNK_OCTETS]

    async def store(
        self,
        mailbox: MailboxKey,
        uids: Runs,
        change: FlagChange,
        flags: Collection[str],
        unchanged_since: int | None = None,
        request_id: UUID | None = None,
    ) -> Stored:
        """Changes flags of those that live and did not change since."""
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        if request_id is not None and isinstance(answer := ledger.answers.get(request_id), Stored):
            return answer
        bits = ledger.bits(flags, is_adding=change is not FlagChange.REMOVE)
        previous = folder.highest_modseq
        asked = [folder.live[uid] for uid in sorted(_members(folder.live, uids))]
        modified = [m for m in asked if unchanged_since is not None and m.modseq > unchanged_since]
        kept = {message.uid for message in modified}
        changed = [m for m in asked if m.uid not in kept and _changed(change, m.flags, bits) != m.flags]
        for message in changed:
            message.flags = _changed(change, message.flags, bits)
            message.modseq = folder.highest_modseq = ledger.modseq + 1
        if changed:
            ledger.write((mailbox.mailbox_id, ChangeKind.FLAGS, _blocks(message.uid for message in changed)))
        stored = Stored(
            uids=[message.uid for message in asked],
            flags=[message.flags for message in asked],
            modseqs=[message.modseq for message in asked],
            changed=runs_of(message.uid for message in changed),
            modified=runs_of(message.uid for message in modified),
            previous_modseq=previous,
            highest_modseq=folder.highest_modseq,
            keywords=tuple(ledger.keywords),
        )
        if request_id is not None and changed:
            ledger.answers[request_id] = stored
        return stored

    async def copy(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        """Copies those that live, with flags and dates; all of them, or none."""
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        if request_id is not None and isinstance(answer := ledger.answers.get(request_id), Copied):
            return answer
        into = ledger.folder(target)
        sources = [folder.live[uid] for uid in sorted(_members(folder.live, uids))]
        if sources:  # nothing fits, however full the account is
            ledger.check_room(sum(message.size for message in sources), len(sources))
        modseq = ledger.modseq + 1
        targets = runs_of(
            into.place(message.content, message.head, message.flags, modseq, message.internal_at)
            for message in sources
        )
        if sources:
            ledger.write((into.mailbox.key.mailbox_id, ChangeKind.ADDED, targets))
        copied = Copied(into.mailbox.uid_validity, runs_of(message.uid for message in sources), targets)
        if request_id is not None:
            ledger.answers[request_id] = copied
        return copied

    async def move(
        self, mailbox: MailboxKey, uids: Runs, target: str, request_id: UUID | None = None
    ) -> Copied:
        """Copies those that live, and removes them here; whatever the quota is."""
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        if request_id is not None and isinstance(answer := ledger.answers.get(request_id), Copied):
            return answer
        into = ledger.folder(target)
        going = [folder.live[uid] for uid in sorted(_members(folder.live, uids))]
        went = runs_of(message.uid for message in going)
        modseq = ledger.modseq + 1
        targets = runs_of(
            into.place(message.content, message.head, message.flags, modseq, message.internal_at)
            for message in going
        )
        if going:
            ledger.write((into.mailbox.key.mailbox_id, ChangeKind.ADDED, targets))
            for message in going:
                folder.gone[message.uid] = folder.live.pop(message.uid)
            folder.highest_modseq = ledger.write((mailbox.mailbox_id, ChangeKind.EXPUNGED, went))
        moved = Copied(into.mailbox.uid_validity, went, targets)
        if request_id is not None:
            ledger.answers[request_id] = moved
        return moved

    async def expunge(
        self,
        mailbox: MailboxKey,
        uids: Runs | None = None,
        even_undeleted: bool = False,
        maildrop: MaildropLock | None = None,
        request_id: UUID | None = None,
    ) -> Expunged:
        """Removes what has \\Deleted, or all that was named."""
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        if request_id is not None and isinstance(answer := ledger.answers.get(request_id), Expunged):
            return answer
        if maildrop is not None:
            check_maildrop(self.state, maildrop)
        asked = folder.live if uids is None else _members(folder.live, uids)
        going = sorted(uid for uid in asked if even_undeleted or folder.live[uid].flags & DELETED)
        previous, went = folder.highest_modseq, runs_of(going)
        for uid in going:
            folder.gone[uid] = folder.live.pop(uid)
        if going:
            folder.highest_modseq = ledger.write((mailbox.mailbox_id, ChangeKind.EXPUNGED, went))
        expunged = Expunged(went, previous, folder.highest_modseq)
        if request_id is not None and going:
            ledger.answers[request_id] = expunged
        return expunged


def _members(messages: dict[int, Message], uids: Runs) -> list[int]:
    return [uid for uid in messages if any(first <= uid <= last for first, last in uids)]


def _blocks(uids: Iterable[int]) -> Runs:
    pairs: list[Run] = []
    for uid in uids:
        first = (uid - 1) // BLOCK * BLOCK + 1
        pairs.append((first, first + BLOCK - 1))
    return normalise(pairs)


def _changed(change: FlagChange, flags: int, bits: int) -> int:
    if change is FlagChange.ADD:
        return flags | bits
    return flags & ~bits if change is FlagChange.REMOVE else bits


def _page(ledger: Ledger, rows: Sequence[Message], items: Items) -> Page:
    def column(item: Items, value: Callable[[Message], Value]) -> list[Value]:
        return [value(row) for row in rows] if item in items else []

    return Page(
        uids=[row.uid for row in rows],
        flags=column(Items.FLAGS, lambda row: row.flags),
        modseqs=column(Items.MODSEQ, lambda row: row.modseq),
        internal_at=column(Items.INTERNALDATE, lambda row: row.internal_at),
        sizes=column(Items.SIZE, lambda row: row.size),
        envelopes=column(Items.ENVELOPE, lambda row: row.content.seen.envelope),
        structures=column(Items.STRUCTURE, lambda row: row.content.seen.structure),
        parts=column(Items.PARTS, lambda row: row.content.seen.parts),
        heads=column(Items.PARTS, lambda row: len(row.head)),
        headers=column(Items.HEADER, lambda row: row.octets[: header_size(row.octets)]),
        bodies=column(Items.BODY, lambda row: row.octets if row.size <= INLINE_OCTETS else None),
        keywords=tuple(ledger.keywords) if Items.FLAGS in items else (),
    )
