"""One import: every folder of a source into an account, each letter once.

The rule: what cannot be taken is named and counted, and the rest goes on; nothing is remembered here, since storage
knows which keys took effect. So it may be stopped or killed at any moment and started again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from services.cli.imports.batches import Batch, in_batches, read_ahead
from services.cli.progress import Meter
from services.cli.sources import Broken, Folder, Letter, Source, SourceFailed
from services.mail.errors import (
    MailboxExists,
    MailboxNotFound,
    MailboxNotFresh,
    MailError,
    OverQuota,
    StoreUnavailable,
)
from services.mail.store import Store
from services.mail.store.imports import MAX_UID, Incoming
from services.mail.store.mailboxes import MailboxKey

T = TypeVar("T")

# How long storage may be away: a restart, or another copy that takes over.
PATIENCE_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.5


@dataclass(slots=True)
class Summary:
    """What an import came to. left_out: names and reasons. notes: what was not kept, though the message was."""

    imported: int = 0
    already: int = 0
    left_out: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Importer:
    """An import into one account. keeps_uids: UIDVALIDITY, UIDs and POP3's unique ids come along."""

    def __init__(self, store: Store, account_id: int, source: Source, *, keeps_uids: bool) -> None:
        self.summary = Summary()
        self._store = store
        self._account_id = account_id
        self._source = source
        self._keeps_uids = keeps_uids
        self._meter = Meter(0)

    async def run(self) -> Summary:
        """All of it. Raises SourceFailed where nothing can be read, and StoreUnavailable."""
        folders: list[Folder] = []
        for found in await asyncio.to_thread(lambda: list(self._source.folders())):
            if isinstance(found, Broken):
                self._leave_out(found)
            else:
                folders.append(found)
        with Meter(sum(folder.steps for folder in folders)) as self._meter:
            for folder in folders:
                self._meter.enter(folder.name)
                try:
                    await self._import(folder)
                except StoreUnavailable:
                    raise
                except (MailError, SourceFailed, OSError) as failure:
                    reason = failure.text if isinstance(failure, MailError) else str(failure)
                    self._leave_out(Broken(f"mailbox {folder.name}", reason))
        return self.summary

    async def _import(self, folder: Folder) -> None:
        """One mailbox. Raises MailError, SourceFailed where all of it, or all that is left, stays out."""
        mailbox = await self._mailbox(folder.name)
        keeps_uids = self._keeps_uids and folder.uid_validity > 0
        if keeps_uids and folder.uid_next > MAX_UID + 1:
            raise SourceFailed(
                "its UIDNEXT leaves no room for later messages; without --keep-uids it comes under new UIDs"
            )
        if keeps_uids:
            try:
                await self._store.imports.renumber(mailbox, folder.uid_validity)
            except MailboxNotFresh as refusal:
                raise SourceFailed(f"{refusal.text}; without --keep-uids it comes under new UIDs") from None
        elif self._keeps_uids:
            self._note(f"mailbox {folder.name}: the source has no UIDs for it, so none are kept")
        is_skipped = not (keeps_uids and folder.uid_next)
        batches = in_batches(self._source.identity, self._source.letters(folder))
        async for batch in read_ahead(batches):
            if not is_skipped and any(not letter.uid for letter in batch.letters.values()):
                await self._store.imports.skip_uids(mailbox, folder.uid_next)
                is_skipped = True
            await self._store_batch(mailbox, folder, batch, keeps_uids)
        if not is_skipped:
            await self._store.imports.skip_uids(mailbox, folder.uid_next)

    async def _mailbox(self, name: str) -> MailboxKey:
        """The mailbox of that name, made and subscribed where it is missing."""
        try:
            return (await self._store.mailboxes.status(self._account_id, name))[0].key
        except MailboxNotFound:
            pass
        try:
            made = await self._store.mailboxes.create(self._account_id, name)
        except MailboxExists:
            made = (await self._store.mailboxes.status(self._account_id, name))[0]
        await self._store.mailboxes.subscribe(self._account_id, name, is_subscribed=True)
        return made.key

    async def _store_batch(self, mailbox: MailboxKey, folder: Folder, batch: Batch, keeps_uids: bool) -> None:
        for broken in batch.broken:
            self._leave_out(broken)
        self._count_known(batch.repeated)
        keys = list(batch.letters)
        are_taken: Sequence[bool] = ()
        if keys:
            are_taken = await _patiently(lambda: self._store.imports.find_taken(mailbox, keys))
        known = {key for key, is_taken in zip(keys, are_taken, strict=True) if is_taken}
        self._count_known([batch.letters[key] for key in known])
        asked = {key: letter for key, letter in batch.letters.items() if key not in known}
        letters = await self._with_octets(folder, asked)
        if letters:
            incoming = [_incoming(key, letter, keeps_uids) for key, letter in letters.items()]
            outcomes = await _patiently(lambda: self._store.imports.add(mailbox, _each(incoming)))
            for letter, outcome in zip(letters.values(), outcomes, strict=True):
                if isinstance(outcome, MailboxNotFresh):
                    reason = f"{outcome.text}; without --keep-uids it comes under a new UID"
                    self._leave_out(Broken(letter.name, reason, letter.steps))
                elif isinstance(outcome, MailError):
                    self._leave_out(Broken(letter.name, outcome.text, letter.steps))
                elif outcome.is_repeated:
                    self._count_known([letter])
                else:
                    self.summary.imported += 1
                    self._meter.advance(1, letter.steps)
            if keeps_uids and any(isinstance(outcome, OverQuota) for outcome in outcomes):
                # A later one that fits would take the uids of those that do not, for good.
                raise SourceFailed("over quota: what is left waits for more room")

    async def _with_octets(self, folder: Folder, letters: dict[UUID, Letter]) -> dict[UUID, Letter]:
        """Those of which octets are there, read now where they were not."""
        if all(letter.octets is not None for letter in letters.values()):
            return letters
        found = await asyncio.to_thread(lambda: list(self._source.read(folder, list(letters.values()))))
        read: dict[UUID, Letter] = {}
        for key, letter in zip(letters, found, strict=True):
            if isinstance(letter, Broken):
                self._leave_out(letter)
            else:
                read[key] = letter
        return read

    def _count_known(self, letters: Sequence[Letter]) -> None:
        self.summary.already += len(letters)
        self._meter.advance(len(letters), sum(letter.steps for letter in letters))

    def _leave_out(self, broken: Broken) -> None:
        self.summary.left_out.append(broken)
        self._meter.complain(f"left out: {broken.name}: {broken.reason}")
        self._meter.advance(0, broken.steps)

    def _note(self, line: str) -> None:
        self.summary.notes.append(line)
        self._meter.complain(line)


def _incoming(key: UUID, letter: Letter, keeps_uids: bool) -> Incoming:
    assert letter.octets is not None
    return Incoming(
        key,
        letter.octets,
        len(letter.octets),
        letter.flags,
        letter.internal_at,
        letter.uid if keeps_uids else 0,
        letter.unique_id if keeps_uids else "",
    )


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks until storage answers: a key takes effect once, however often it is sent. Raises StoreUnavailable."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(_PAUSE_SECONDS)


async def _each(letters: Sequence[Incoming]) -> AsyncIterator[Incoming]:
    for letter in letters:
        yield letter
