"""Gathers the letters that wait right now into one transaction.

The rule: no timer. A batch is what queued while the last one committed, bounded by count and octets; no two under way
have an account in common. A letter whose account is busy leaves the batch whole; an exception rolls the batch back and
its letters run one by one; one request id is never twice in a batch or in flight.
"""

import asyncio
import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.mail.errors import StoreUnavailable
from services.plumbing import logs
from services.storage.arrays import Bigints
from services.storage.deliveries import statements
from services.storage.deliveries.batch import Outcome, Waiting, outcomes, parameters
from services.storage.messages.changing import ADD_MORE_KEYWORDS
from services.storage.transaction import ConnectionLost, Database, Statement, Values

log = logs.get(__name__)

# How long a letter is sent again whose connection was lost: only its request id can tell whether it was stored, so
# whoever is refused earlier would send it a second time. Less than a door waits for its answer.
_UNSETTLED_SECONDS: Final = 25.0
_PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class GatherSettings:
    """max_letters, max_octets: of one batch. slots: transactions that may wait for busy accounts at once.

    writers: batches that may be under way at once; the second is made ready while the first commits.
    """

    max_letters: int = 200
    max_octets: int = 4 * 1024 * 1024
    slots: int = 4
    writers: int = 2


@dataclass(slots=True)
class _Entry:
    """answer: whoever asked waits for it, and may go away. landed: set once it is known what became of the letter.

    give_up_at: loop time, once it may have been stored and nobody knows; None before.
    """

    letter: Waiting
    answer: "asyncio.Future[list[Outcome]]"
    landed: asyncio.Event | None = None
    give_up_at: float | None = None

    def lose(self) -> None:
        """Notes that it may have been stored: from now on it is tried again until that is known."""
        if self.give_up_at is None:
            self.give_up_at = asyncio.get_running_loop().time() + _UNSETTLED_SECONDS

    @property
    def is_given_up(self) -> bool:
        """Nobody waits any longer for what became of it."""
        return self.give_up_at is not None and asyncio.get_running_loop().time() >= self.give_up_at


class Gatherer:
    """Writers for everybody's letters, a lane for each busy account, and a few who wait alone."""

    def __init__(self, database: Database, settings: GatherSettings = GatherSettings()) -> None:
        self._database = database
        self._settings = settings
        self._queue: deque[_Entry] = deque()
        self._lanes: dict[int, deque[_Entry]] = {}
        self._flying: dict[UUID, _Entry] = {}
        self._slots = asyncio.Semaphore(settings.slots)
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers = 0
        self._written: set[int] = set()
        self._letters_at = -math.inf

    async def close(self) -> None:
        """Waits for what was taken."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def waiting(self) -> int:
        """Letters that were passed over and wait for busy accounts; 0 while a batch is under way."""
        return 0 if self._writers else len(self._flying)

    def letters_at(self) -> float:
        """When the last letter came in, by the loop's clock."""
        return self._letters_at

    async def submit(self, letter: Waiting) -> list[Outcome]:
        """What became of each copy. The caller may be cancelled; a letter that was taken is stored all the same.

        Raises StoreUnavailable, and what the database raised for this letter alone.
        """
        while (earlier := self._flying.get(letter.request_id)) is not None:
            earlier.landed = earlier.landed or asyncio.Event()
            await earlier.landed.wait()
        loop = asyncio.get_running_loop()
        self._letters_at = loop.time()
        entry = _Entry(letter, loop.create_future())
        self._flying[letter.request_id] = entry
        if any(copy.more_keywords for copy in letter.copies):
            self._start(self._run_alone(entry))
        elif len(letter.accounts) == 1 and (lane := self._lanes.get(letter.accounts[0])) is not None:
            lane.append(entry)
        else:
            self._queue.append(entry)
            if not self._writers or (
                self._writers < self._settings.writers and letter.is_apart(self._written)
            ):
                self._writers += 1
                self._start(self._write())
        return await entry.answer

    def _land(self, entry: _Entry, found: list[Outcome] | Exception) -> None:
        del self._flying[entry.letter.request_id]
        if entry.landed is not None:
            entry.landed.set()
        if entry.answer.done():
            return
        if isinstance(found, Exception):
            entry.answer.set_exception(found)
        else:
            entry.answer.set_result(found)

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next_batch(self, queue: deque[_Entry], passing: Collection[int] = ()) -> list[_Entry]:
        """The letters that go now, in their order. passing: accounts whose letters stay where they are."""
        batch: list[_Entry] = []
        passed: list[_Entry] = []
        octets = 0
        while queue and len(batch) + len(passed) < self._settings.max_letters:
            entry = queue[0]
            if passing and not entry.letter.is_apart(passing):
                passed.append(queue.popleft())
                continue
            octets += entry.letter.weight
            if batch and octets > self._settings.max_octets:
                break
            batch.append(queue.popleft())
        queue.extendleft(reversed(passed))
        return batch

    async def _write(self) -> None:
        try:
            while batch := self._next_batch(self._queue, self._written):
                accounts = {account_id for entry in batch for account_id in entry.letter.accounts}
                self._written |= accounts
                try:
                    await self._run(batch)
                finally:
                    self._written -= accounts
        finally:
            self._writers -= 1

    async def _run(self, batch: Sequence[_Entry]) -> None:
        """One autocommitted statement; busy accounts are passed over."""
        letters = [entry.letter for entry in batch]
        try:
            values = parameters(letters, is_passing=True, is_alone=False)
            rows = await self._database.write(statements.DELIVER, values)
        except Exception as error:  # noqa: BLE001 - whatever it is, the letters run one by one
            self._part(batch, error)
            return
        self._settle(batch, outcomes(letters, rows))

    def _settle(self, batch: Sequence[_Entry], found: Sequence[Sequence[Outcome]]) -> None:
        touched: set[int] = set()
        for entry, result in zip(batch, found, strict=True):
            if any(outcome.code == statements.BUSY for outcome in result):
                self._send_to_lane(entry)
            elif any(outcome.code == statements.CROWDED for outcome in result):
                self._start(self._run_alone(entry))
            else:
                touched.update(
                    copy.mailbox.account_id
                    for copy, outcome in zip(entry.letter.copies, result, strict=True)
                    if outcome.code == statements.STORED and not outcome.is_repeated
                )
                self._land(entry, list(result))
        if touched:
            self._database.on_commit(sorted(touched))

    def _part(self, batch: Sequence[_Entry], error: Exception) -> None:
        """Runs a failed batch one by one, so that only the guilty letter fails."""
        if isinstance(error, StoreUnavailable) and not isinstance(error, ConnectionLost):
            for entry in batch:
                self._land(entry, error)
            return
        if isinstance(error, ConnectionLost):
            for entry in batch:
                entry.lose()
        log.warning("batch runs one by one", letters=len(batch), reason=repr(error)[:200])

        async def run() -> None:
            for entry in batch:
                if entry.is_given_up:
                    self._land(entry, error)
                else:
                    await self._run_alone(entry)

        self._start(run())

    def _send_to_lane(self, entry: _Entry) -> None:
        if len(entry.letter.accounts) > 1:
            self._start(self._run_alone(entry))
            return
        account_id = entry.letter.accounts[0]
        lane = self._lanes.get(account_id)
        if lane is None:
            lane = self._lanes[account_id] = deque()
            self._start(self._run_lane(account_id, lane))
        lane.append(entry)

    async def _run_lane(self, account_id: int, lane: deque[_Entry]) -> None:
        """Batches of one busy account, which wait for it."""
        try:
            while lane:
                async with self._slots:
                    batch = self._next_batch(lane)
                    await self._run_waiting(batch, is_alone=False)
        finally:
            del self._lanes[account_id]

    async def _run_waiting(self, batch: Sequence[_Entry], *, is_alone: bool) -> None:
        letters = [entry.letter for entry in batch]
        accounts = sorted({account_id for letter in letters for account_id in letter.accounts})
        try:
            values = parameters(letters, is_passing=False, is_alone=is_alone)
            steps: list[tuple[Statement, Values]] = [(statements.DELIVER, values)]
            for letter in letters:
                steps.extend(more_keywords(letter))
            rows = (await self._database.transact(accounts, *steps))[0]
        except Exception as error:
            if is_alone:
                raise
            self._part(batch, error)
            return
        self._settle(batch, outcomes(letters, rows))

    async def _run_alone(self, entry: _Entry) -> None:
        """A transaction of its own, which waits for its accounts in key order."""
        while True:
            try:
                async with self._slots:
                    await self._run_waiting([entry], is_alone=True)
            except StoreUnavailable as error:
                if isinstance(error, ConnectionLost):
                    entry.lose()
                if entry.give_up_at is None or entry.is_given_up:
                    self._land(entry, error)
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the caller hears it
                self._land(entry, error)
                return
            else:
                return


def more_keywords(letter: Waiting) -> list[tuple[Statement, Values]]:
    """The letter's late keywords, set where its request says that its copies went."""
    steps: list[tuple[Statement, Values]] = []
    ordinals: dict[int, int] = {}
    for copy in letter.copies:
        account_id = copy.mailbox.account_id
        ordinals[account_id] = ordinals.get(account_id, 0) + 1
        if copy.more_keywords:
            values = {
                "account_id": account_id,
                "mailbox_id": copy.mailbox.mailbox_id,
                "request_id": letter.request_id,
                "ordinal": ordinals[account_id],
                "numbers": Bigints(copy.more_keywords),
            }
            steps.append((ADD_MORE_KEYWORDS, values))
    return steps
