"""Imports on PostgreSQL. The rule: one transaction for each `add`, in which every letter is decided for itself."""

import asyncio
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid5

from services.mail.errors import (
    InvalidArgument,
    MailboxNotFound,
    MailboxNotFresh,
    MailError,
    OverQuota,
    StoreUnavailable,
)
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
from services.mail.store.uids import BLOCK
from services.storage.arrays import Bigints, Texts, Uuids
from services.storage.bodies import Bodies
from services.storage.deliveries import statements as delivering
from services.storage.deliveries.batch import LetterCopy, Outcome, Waiting, outcomes, parameters
from services.storage.gather import more_keywords
from services.storage.imports import statements
from services.storage.messages.keywords import Keywords, split
from services.storage.transaction import Database, Statement, Values

_REFUSED: Final[dict[int, type[MailError]]] = {
    delivering.OVER_QUOTA: OverQuota,
    delivering.UID_GIVEN: MailboxNotFresh,
    delivering.GIVEN_UP: StoreUnavailable,
}
_UID_GIVEN: Final = "the mailbox has given this uid, or a later one, to another message"


class PostgresImports:
    """Implements `services.mail.store.imports.Imports`."""

    def __init__(self, database: Database, bodies: Bodies, keywords: Keywords) -> None:
        self._database = database
        self._bodies = bodies
        self._keywords = keywords

    async def renumber(self, mailbox: MailboxKey, uid_validity: int) -> None:
        """See the port."""
        check_uid_validity(uid_validity)
        values = {**_key(mailbox), "uid_validity": uid_validity}
        rows = (await self._database.transact([mailbox.account_id], (statements.RENUMBER, values)))[0]
        if not rows:
            raise MailboxNotFound
        has_it, is_fresh, is_used = rows[0]
        if has_it:
            return
        if not is_fresh:
            raise MailboxNotFresh("the mailbox holds messages, or held some, and keeps its UIDVALIDITY")
        if is_used:
            raise MailboxNotFresh(f"another mailbox of the account has UIDVALIDITY {uid_validity}")

    async def skip_uids(self, mailbox: MailboxKey, uid_next: int) -> None:
        """See the port."""
        if not 1 <= uid_next <= MAX_UID + 1:
            raise InvalidArgument("UIDNEXT leaves no room for later messages")
        block, dead = divmod(uid_next - 1, BLOCK)
        values = {**_key(mailbox), "uid_next": uid_next, "block": block, "dead": Bigints([0] * dead)}
        if not (await self._database.transact([mailbox.account_id], (statements.SKIP_UIDS, values)))[0]:
            raise MailboxNotFound

    async def find_taken(self, mailbox: MailboxKey, keys: Sequence[UUID]) -> Sequence[bool]:
        """See the port."""
        if len(keys) > MAX_KEYS:
            raise InvalidArgument(f"at most {MAX_KEYS} keys at once")
        asked = [_request_id(mailbox, key) for key in keys]
        values = {"account_id": mailbox.account_id, "keys": Uuids(asked)}
        found = {row[0] for row in await self._database.read(statements.FIND_TAKEN, values)}
        return [request_id in found for request_id in asked]

    async def add(self, mailbox: MailboxKey, letters: AsyncIterable[Incoming]) -> Sequence[Taken | MailError]:
        """See the port."""
        intake = _Intake()
        try:
            await self._read(mailbox, letters, intake)
        except BaseException:
            await asyncio.shield(self._drop(list(intake.entries.values())))
            raise
        entries = list(intake.entries.values())
        # From here on a body may be named by a message, whoever waits for it: what is not known is the sweeper's.
        found = await self._write(mailbox, entries, intake.numbers) if entries else []
        unnamed = [
            entry
            for entry, outcome in zip(entries, found, strict=True)
            if outcome.code != delivering.STORED or outcome.is_repeated
        ]
        await asyncio.shield(self._drop(unnamed))
        if any(outcome.code == delivering.NO_MAILBOX for outcome in found):
            raise MailboxNotFound
        return intake.told(dict(zip(intake.entries, found, strict=True)))

    async def _read(self, mailbox: MailboxKey, letters: AsyncIterable[Incoming], intake: "_Intake") -> None:
        bounds = Bounds()
        async for letter in letters:
            bounds.check(letter, INLINE_OCTETS)
            request_id = _request_id(mailbox, letter.key)
            try:
                check_letter(letter)
                entry = await self._take(mailbox, letter, request_id)
            except MailError as refusal:
                intake.outcomes.append(refusal)
                continue
            intake.outcomes.append(request_id)
            if request_id in intake.entries:
                await self._drop([entry])
                continue
            intake.entries[request_id] = entry
            intake.numbers[request_id] = (letter.uid, letter.unique_id)

    async def unique_ids(self, mailbox: MailboxKey, after_uid: int = 0) -> Sequence[UniqueId]:
        """See the port."""
        values = {**_key(mailbox), "after_uid": after_uid, "limit": MAX_UNIQUE_IDS}
        return [UniqueId(*row) for row in await self._database.read(statements.UNIQUE_IDS, values)]

    async def _take(self, mailbox: MailboxKey, letter: Incoming, request_id: UUID) -> Waiting:
        bits = 0
        if letter.flags:
            bits = await self._keywords.bits(mailbox.account_id, letter.flags, is_adding=True)
        low, more = split(bits)
        content = await self._bodies.take(letter.body, letter.size)
        copy = LetterCopy(mailbox, b"", low, more)
        return Waiting(request_id, [copy], content, is_whole=True, internal_at=letter.internal_at)

    async def _write(
        self, mailbox: MailboxKey, entries: list[Waiting], numbers: dict[UUID, tuple[int, str]]
    ) -> list[Outcome]:
        """One transaction. Raises StoreUnavailable where it may have happened."""
        keys = Uuids(numbers)
        values = parameters(entries, is_passing=False, is_alone=True)
        uids = Bigints([uid for uid, _ in numbers.values()])
        steps: list[tuple[Statement, Values]] = [
            (delivering.IMPORT, {**values, "uids": uids}) if any(uids) else (delivering.DELIVER, values)
        ]
        for entry in entries:
            steps.extend(more_keywords(entry))
        steps.append((statements.KEEP_KEYS, {"account_id": mailbox.account_id, "keys": keys}))
        kept = [(key, uid, unique_id) for key, (uid, unique_id) in numbers.items() if unique_id]
        if kept:
            told = {
                "keys": Uuids([key for key, _, _ in kept]),
                "uids": Bigints([uid for _, uid, _ in kept]),
                "unique_ids": Texts([unique_id for _, _, unique_id in kept]),
            }
            steps.append((statements.KEEP_UNIQUE_IDS, {**_key(mailbox), **told}))
        rows = (await self._database.transact([mailbox.account_id], *steps))[0]
        return [of_letter[0] for of_letter in outcomes(entries, rows)]

    async def _drop(self, entries: Sequence[Waiting]) -> None:
        """Removes what was uploaded for letters that no message names."""
        for entry in entries:
            await self._bodies.drop(entry.content.upload_id)


@dataclass(slots=True)
class _Intake:
    """What came of a call. outcomes: a refusal, or the request id that one is still to be found of."""

    outcomes: list[UUID | MailError] = field(default_factory=list)
    entries: dict[UUID, Waiting] = field(default_factory=dict)
    numbers: dict[UUID, tuple[int, str]] = field(default_factory=dict)

    def told(self, found: Mapping[UUID, Outcome]) -> list[Taken | MailError]:
        """In the order in which the letters came; one that came twice is repeated."""
        told: list[Taken | MailError] = []
        seen: set[UUID] = set()
        for each in self.outcomes:
            if isinstance(each, MailError):
                told.append(each)
                continue
            told.append(_told(found[each], each in seen))
            seen.add(each)
        return told


def _told(outcome: Outcome, is_repeated: bool) -> Taken | MailError:
    if outcome.code == delivering.STORED:
        return Taken(outcome.uid, outcome.is_repeated or is_repeated)
    kind = _REFUSED[outcome.code]
    return kind(_UID_GIVEN) if kind is MailboxNotFresh else kind()


def _request_id(mailbox: MailboxKey, key: UUID) -> UUID:
    """A key is the mailbox's: elsewhere, or in a later mailbox of the same name, it takes effect again."""
    return uuid5(key, str(mailbox.mailbox_id))


def _key(mailbox: MailboxKey) -> dict[str, Any]:
    return {"account_id": mailbox.account_id, "mailbox_id": mailbox.mailbox_id}
