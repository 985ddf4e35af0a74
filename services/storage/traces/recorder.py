"""Keeps the traces of what was delivered.

The rule: a delivery leaves a note and goes on; notes are written some hundreds at a time, when no letter came for a
while, when many wait, or after some seconds. Nothing depends on it: what cannot be written is dropped, and said.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

from services.mail.errors import StoreUnavailable
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.traces import Trace, TraceKind, delivered_with
from services.plumbing import logs
from services.storage.arrays import Bigints, Texts, Uuids
from services.storage.traces import statements
from services.storage.transaction import Database

log = logs.get(__name__)

_TOGETHER: Final = 500
# So many notes wait while letters come in, of so many octets, and so many at all: each holds a recipient's trace
# headers, and an ENVELOPE that may have 64 KB.
_MANY: Final = 5_000
_MANY_OCTETS: Final = 8 * 1024 * 1024
MOST_WAITING: Final = 20_000
MOST_OCTETS: Final = 64 * 1024 * 1024
_ROUND_SECONDS: Final = 1.0
# No note waits longer, however many letters come.
_LATE_MICROSECONDS: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class Note:
    """One copy that was stored."""

    at: int
    letter_id: UUID
    mailbox: MailboxKey
    uid: int
    size: int
    head: bytes
    envelope: bytes

    @property
    def octets(self) -> int:
        """What it holds."""
        return len(self.head) + len(self.envelope)

    def trace(self) -> Trace:
        """What is kept of it."""
        return Trace(
            kind=TraceKind.DELIVERED,
            at=self.at,
            letter_id=self.letter_id,
            size=self.size,
            account_id=self.mailbox.account_id,
            mailbox_id=self.mailbox.mailbox_id,
            uid=self.uid,
            **delivered_with(self.head, self.envelope),
        )


class Recorder:
    """Notes of this copy of storage. letters_at: when the last letter came in, by the loop's clock."""

    def __init__(self, database: Database, letters_at: Callable[[], float]) -> None:
        self._database = database
        self._letters_at = letters_at
        self._notes: deque[Note] = deque()
        self._octets = 0
        self._dropped = 0
        self._writing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Writes what waits, and ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.flush()

    def note(
        self, letter_id: UUID, mailbox: MailboxKey, uid: int, size: int, head: bytes, envelope: bytes
    ) -> None:
        """A copy was stored just now."""
        note = Note(time.time_ns() // 1000, letter_id, mailbox, uid, size, head, envelope)
        self._notes.append(note)
        self._octets += note.octets
        while len(self._notes) > MOST_WAITING or self._octets > MOST_OCTETS:
            self._take_one()
            self._dropped += 1

    def _take_one(self) -> Note:
        note = self._notes.popleft()
        self._octets -= note.octets
        return note

    async def flush(self) -> None:
        """Writes what waits now, as far as the database takes it: what is behind the first that it refuses waits on."""
        async with self._writing:
            for _ in range(-(-len(self._notes) // _TOGETHER)):
                some = [self._take_one() for _ in range(min(len(self._notes), _TOGETHER))]
                try:
                    values = columns([note.trace() for note in some])
                    await self._database.write(statements.INSERT, values)
                except StoreUnavailable as error:
                    self._dropped += len(some)
                    log.warning("traces not kept", dropped=self._dropped, reason=error.text)
                    return

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_ROUND_SECONDS)
            is_quiet = loop.time() - self._letters_at() >= _ROUND_SECONDS
            are_many = len(self._notes) >= _MANY or self._octets >= _MANY_OCTETS
            is_late = bool(self._notes) and time.time_ns() // 1000 - self._notes[0].at > _LATE_MICROSECONDS
            if self._notes and (is_quiet or are_many or is_late):
                try:
                    await self.flush()
                except Exception:
                    log.exception("traces not kept")


def columns(traces: Sequence[Trace]) -> dict[str, Any]:
    """The arrays of INSERT."""
    return {
        "kinds": Bigints(each.kind for each in traces),
        "ats": Bigints(each.at for each in traces),
        "letter_ids": Uuids(each.letter_id for each in traces),
        "account_ids": Bigints(each.account_id for each in traces),
        "mailbox_ids": Bigints(each.mailbox_id for each in traces),
        "uids": Bigints(each.uid for each in traces),
        "sizes": Bigints(each.size for each in traces),
        "senders": Texts(each.sender for each in traces),
        "recipients": Texts(each.recipient for each in traces),
        "message_ids": Texts(each.message_id for each in traces),
        "peers": Texts(each.peer for each in traces),
        "details": Texts(each.detail for each in traces),
    }
