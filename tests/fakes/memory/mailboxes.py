"""Mailboxes in memory: names, counters and what happened since."""

from dataclasses import dataclass, replace
from uuid import UUID

from services.mail.errors import (
    BehindFloor,
    HasChildren,
    InvalidName,
    MailboxExists,
    MailboxNotFound,
    SpecialUseRefused,
)
from services.mail.store.changes import ChangeKind
from services.mail.store.flags import SEEN
from services.mail.store.mailboxes import (
    INBOX,
    SEPARATOR,
    Delta,
    Listing,
    Mailbox,
    MailboxKey,
    MailboxStatus,
    Opened,
    canonical_name,
    check_special_use,
    superiors,
)
from services.mail.store.uids import intersect, masks, normalise, runs_of
from tests.fakes.memory.state import Folder, Ledger, State


@dataclass(frozen=True, slots=True)
class MemoryMailboxes:
    """The port's Mailboxes."""

    state: State

    async def list(self, account_id: int, prefix: str = "", with_statuses: bool = False) -> Listing:
        """Mailboxes and subscriptions, by name."""
        ledger = self.state.ledger(account_id)
        found = [folder for folder in ledger.folders.values() if folder.mailbox.name.startswith(prefix)]
        found.sort(key=lambda folder: folder.mailbox.name)
        return Listing(
            [folder.mailbox for folder in found],
            sorted(name for name in ledger.subscribed if name.startswith(prefix)),
            [folder.status() for folder in found] if with_statuses else (),
        )

    async def create(
        self, account_id: int, name: str, special_use: str = "", request_id: UUID | None = None
    ) -> Mailbox:
        """Makes a mailbox and its missing superiors, under one modseq."""
        ledger, name = self.state.ledger(account_id), canonical_name(name)
        check_special_use(special_use)
        if request_id is not None and isinstance(made := ledger.answers.get(request_id), Mailbox):
            if made.key.mailbox_id not in ledger.folders:
                raise MailboxNotFound
            return ledger.folders[made.key.mailbox_id].mailbox
        if name in _names(ledger):
            raise MailboxExists
        if special_use and special_use in {each.mailbox.special_use for each in ledger.folders.values()}:
            raise SpecialUseRefused
        missing = [superior for superior in superiors(name) if superior not in _names(ledger)]
        made_now = [ledger.add_folder(superior, "", self.state.now()) for superior in missing]
        made_now.append(ledger.add_folder(name, special_use, self.state.now()))
        _log(ledger, made_now, ChangeKind.MAILBOX_CREATED)
        mailbox = made_now[-1].mailbox
        if request_id is not None:
            ledger.answers[request_id] = mailbox
        return mailbox

    async def delete(self, account_id: int, name: str) -> MailboxKey:
        """Removes a mailbox without inferiors, and its messages."""
        ledger, name = self.state.ledger(account_id), canonical_name(name)
        if name == INBOX:
            raise InvalidName("INBOX stays")
        folder = ledger.folder(name)
        if any(other.startswith(name + SEPARATOR) for other in _names(ledger)):
            raise HasChildren
        del ledger.folders[folder.mailbox.key.mailbox_id]
        _log(ledger, [folder], ChangeKind.MAILBOX_DELETED)
        return folder.mailbox.key

    async def rename(self, account_id: int, name: str, new_name: str) -> None:
        """Renames a mailbox and its inferiors, and makes the superiors that the new name needs."""
        ledger, name, new_name = self.state.ledger(account_id), canonical_name(name), canonical_name(new_name)
        if new_name in (INBOX, name):
            raise MailboxExists
        if name == INBOX:
            await self._rename_inbox(ledger, new_name)
            return
        if new_name.startswith(name + SEPARATOR):
            raise InvalidName("a mailbox does not go below itself")
        ledger.folder(name)
        if new_name in _names(ledger):
            raise MailboxExists
        moved = [
            folder
            for folder in ledger.folders.values()
            if folder.mailbox.name == name or folder.mailbox.name.startswith(name + SEPARATOR)
        ]
        targets = [canonical_name(new_name + folder.mailbox.name[len(name) :]) for folder in moved]
        if not _names(ledger).isdisjoint(targets):
            raise MailboxExists
        missing = [superior for superior in superiors(new_name) if superior not in _names(ledger)]
        made = [ledger.add_folder(superior, "", self.state.now()) for superior in missing]
        for folder, target in zip(moved, targets, strict=True):
            folder.mailbox = replace(folder.mailbox, name=target)
        ledger.write(
            *((folder.mailbox.key.mailbox_id, ChangeKind.MAILBOX_CREATED, ()) for folder in made),
            *((folder.mailbox.key.mailbox_id, ChangeKind.MAILBOX_RENAMED, ()) for folder in moved),
        )

    async def _rename_inbox(self, ledger: Ledger, new_name: str) -> None:
        """Its messages move to a new mailbox; INBOX stays, and so do its inferiors."""
        account_id = ledger.account.account_id
        made = (await self.create(account_id, new_name)).key.mailbox_id
        source, target = ledger.folder(INBOX), ledger.folders[made]
        going = list(source.live.values())
        if not going:
            return
        source.live.clear()
        modseq = ledger.modseq + 1
        for message in going:
            source.gone[message.uid] = message
            target.place(message.content, message.head, message.flags, modseq, message.internal_at)
        ledger.write((made, ChangeKind.ADDED, ((1, len(going)),)))
        went = runs_of(message.uid for message in going)
        inbox_id = source.mailbox.key.mailbox_id
        source.highest_modseq = ledger.write((inbox_id, ChangeKind.EXPUNGED, went))

    async def subscribe(self, account_id: int, name: str, is_subscribed: bool) -> None:
        """Sets whether a name is subscribed."""
        ledger, name = self.state.ledger(account_id), canonical_name(name)
        if is_subscribed:
            ledger.subscribed.add(name)
        else:
            ledger.subscribed.discard(name)

    async def status(self, account_id: int, name: str) -> tuple[Mailbox, MailboxStatus]:
        """A mailbox's counters by name."""
        folder = self.state.ledger(account_id).folder(name)
        return folder.mailbox, folder.status()

    async def open(self, account_id: int, name: str, claims_recent: bool) -> Opened:
        """What a view is built of."""
        ledger = self.state.ledger(account_id)
        folder = ledger.folder(name)
        first_recent, status = folder.first_recent, folder.status()
        if claims_recent:
            folder.first_recent = folder.uid_next
        blocks, bits = masks(runs_of(folder.live))
        unseen = min((uid for uid, message in folder.live.items() if not message.flags & SEEN), default=0)
        return Opened(folder.mailbox, status, blocks, bits, tuple(ledger.keywords), first_recent, unseen)

    async def claim_recent(self, mailbox: MailboxKey, uid_next: int) -> int:
        """Claims what is \\Recent below `uid_next`."""
        folder = self.state.folder(mailbox)
        first = min(folder.first_recent, uid_next)
        folder.first_recent = max(folder.first_recent, min(uid_next, folder.uid_next))
        return first

    async def highest_modseq(self, mailbox: MailboxKey) -> int:
        """The modseq of the mailbox's last change."""
        return self.state.folder(mailbox).highest_modseq

    async def sync(self, mailbox: MailboxKey, since: int, uid_next: int) -> Delta:
        """What happened after `since`, told from the log and the live messages."""
        folder = self.state.folder(mailbox)
        ledger = self.state.ledger(mailbox.account_id)
        if since < ledger.log_floor:
            raise BehindFloor
        went = normalise(
            run
            for change in ledger.changes
            if change.modseq > since
            and change.mailbox_id == mailbox.mailbox_id
            and change.kind is ChangeKind.EXPUNGED
            for run in change.uids
        )
        known = [message for uid, message in folder.live.items() if uid < uid_next]
        changed = [message for message in known if message.modseq > since]
        return Delta(
            status=folder.status(),
            added=runs_of(uid for uid in folder.live if uid >= uid_next),
            expunged=intersect(went, ((1, uid_next - 1),)) if uid_next > 1 else (),
            uids=[message.uid for message in changed],
            flags=[message.flags for message in changed],
            modseqs=[message.modseq for message in changed],
            keywords=tuple(ledger.keywords),
        )


def _names(ledger: Ledger) -> set[str]:
    return {folder.mailbox.name for folder in ledger.folders.values()}


def _log(ledger: Ledger, folders: list[Folder], kind: ChangeKind) -> None:
    ledger.write(*((folder.mailbox.key.mailbox_id, kind, ()) for folder in folders))
