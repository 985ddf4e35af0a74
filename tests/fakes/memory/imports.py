"""Imports in memory: mail that comes from elsewhere, with its numbers."""

from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.mail.errors import InvalidArgument, MailboxNotFound, MailboxNotFresh, MailError
from services.mail.store.changes import ChangeKind
from services.mail.store.imports import (
    MAX_KEYS,
    MAX_UID,
    MAX_UNIQUE_IDS,
    Bounds,
    Incoming,
    Taken,
    UniqueId,
    check_letter,
    check_uid_validity,
)
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS
from services.mail.store.uids import runs_of
from tests.fakes.memory.content import Content
from tests.fakes.memory.state import State


@dataclass(frozen=True, slots=True)
class MemoryImports:
    """The port's Imports."""

    state: State

    async def renumber(self, mailbox: MailboxKey, uid_validity: int) -> None:
        """Another UIDVALIDITY for a mailbox that held nothing."""
        check_uid_validity(uid_validity)
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        if folder.mailbox.uid_validity == uid_validity:
            return
        if folder.uid_next > 1:
            raise MailboxNotFresh
        changed = [folder]
        ledger.last_uid_validity = max(ledger.last_uid_validity, uid_validity)
        for other in ledger.folders.values():
            if other.mailbox.uid_validity == uid_validity:
                if other.uid_next > 1:
                    raise MailboxNotFresh
                ledger.last_uid_validity += 1
                other.mailbox = replace(other.mailbox, uid_validity=ledger.last_uid_validity)
                changed.append(other)
        folder.mailbox = replace(folder.mailbox, uid_validity=uid_validity)
        rows = [(each.mailbox.key.mailbox_id, ChangeKind.MAILBOX_CHANGED, ()) for each in changed]
        modseq = ledger.write(*rows)
        for each in changed:
            each.highest_modseq = modseq

    async def skip_uids(self, mailbox: MailboxKey, uid_next: int) -> None:
        """Uids that nobody gets."""
        if not 1 <= uid_next <= MAX_UID + 1:
            raise InvalidArgument
        folder = self.state.folder(mailbox)
        folder.uid_next = max(folder.uid_next, uid_next)

    async def find_taken(self, mailbox: MailboxKey, keys: Sequence[UUID]) -> Sequence[bool]:
        """Whether each was imported."""
        if len(keys) > MAX_KEYS:
            raise InvalidArgument
        try:
            imported = self.state.folder(mailbox).imported
        except MailboxNotFound:
            return [False for _ in keys]
        return [key in imported for key in keys]

    async def add(self, mailbox: MailboxKey, letters: AsyncIterable[Incoming]) -> Sequence[Taken | MailError]:
        """Reads all, then adds what fits under one modseq."""
        bounds = Bounds()
        come: list[tuple[Incoming, Content | MailError, int]] = []
        async for letter in letters:
            bounds.check(letter, INLINE_OCTETS)
            try:
                check_letter(letter)
                bits = self.state.ledger(mailbox.account_id).bits(letter.flags)
                come.append((letter, await self.state.take(letter.body, letter.size), bits))
            except MailError as refusal:
                come.append((letter, refusal, 0))
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        modseq, added = ledger.modseq + 1, list[int]()
        found: list[Taken | MailError] = []
        # What the quota does not hold counts against what comes after it.
        octets, messages = ledger.used()
        for letter, content, bits in come:
            if isinstance(content, MailError):
                found.append(content)
                continue
            if letter.key in folder.imported:
                found.append(Taken(folder.imported[letter.key], is_repeated=True))
                continue
            if 0 < letter.uid < folder.uid_next:
                found.append(MailboxNotFresh())
                continue
            octets, messages = octets + len(content.octets), messages + 1
            try:
                ledger.check_total(octets, messages)
            except MailError as refusal:
                found.append(refusal)
                continue
            folder.uid_next = letter.uid or folder.uid_next
            at = self.state.now() if letter.internal_at is None else letter.internal_at
            uid = folder.place(content, b"", bits, modseq, at)
            folder.imported[letter.key] = uid
            if letter.unique_id:
                folder.unique_ids[uid] = letter.unique_id
            added.append(uid)
            found.append(Taken(uid, is_repeated=False))
        if added:
            ledger.write((mailbox.mailbox_id, ChangeKind.ADDED, runs_of(added)))
        return found

    async def unique_ids(self, mailbox: MailboxKey, after_uid: int = 0) -> Sequence[UniqueId]:
        """Those that were kept."""
        try:
            kept = self.state.folder(mailbox).unique_ids
        except MailboxNotFound:
            return ()
        return [UniqueId(uid, kept[uid]) for uid in sorted(kept) if uid > after_uid][:MAX_UNIQUE_IDS]
