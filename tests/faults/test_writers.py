"""Many writers in few accounts, through two copies of storage: no deadlock, one order, no gaps."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence

import psycopg

from services.mail.store.changes import Change, ChangeKind
from services.mail.store.deliveries import Delivered, Placed
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange
from services.mail.store.uids import Runs
from services.storage.store import PostgresStore
from tests.faults.stores import add_inbox, held, letter_to

WRITERS = 50
PAGE = 20


def numbers(runs: Runs) -> list[int]:
    """Every uid of some runs."""
    return [uid for first, last in runs for uid in range(first, last + 1)]


class Reader:
    """Follows an account by polling its log and the views of its mailboxes, and keeps what it saw, in order."""

    def __init__(self, store: PostgresStore, mailboxes: Sequence[MailboxKey]) -> None:
        self.changes: list[Change] = []
        self.added: dict[MailboxKey, list[int]] = {each: [] for each in mailboxes}
        self.reads = 0
        self._store = store
        self._mailboxes = mailboxes
        self._seen = 0
        self._views = dict.fromkeys(mailboxes, (0, 1))
        self._is_over = False
        self._task = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        while not self._is_over:
            await self._read()
        while await self._read():
            pass

    async def _read(self) -> bool:
        page = await self._store.changes.list(self._mailboxes[0].account_id, self._seen, PAGE)
        assert [each.modseq for each in page] == sorted(each.modseq for each in page)
        if page:
            self._seen = page[-1].modseq
        self.changes += page
        for mailbox in self._mailboxes:
            modseq, uid_next = self._views[mailbox]
            delta = await self._store.mailboxes.sync(mailbox, modseq, uid_next)
            assert delta.status.highest_modseq >= modseq
            assert delta.status.uid_next >= uid_next
            self.added[mailbox] += numbers(delta.added)
            self._views[mailbox] = delta.status.highest_modseq, delta.status.uid_next
        self.reads += 1
        return bool(page)

    async def finish(self) -> None:
        """Reads what is left."""
        self._is_over = True
        await self._task

    async def assert_saw_everything(self) -> None:
        """What was read bit by bit is what stands there now: nothing came in behind the reader's back."""
        now = await self._store.changes.list(self._mailboxes[0].account_id, 0, 1_000_000)
        assert self.changes == list(now)
        assert len({each.modseq for each in now}) == now[-1].modseq - now[0].modseq + 1
        for mailbox, added in self.added.items():
            logged = [
                uid
                for change in now
                if change.kind is ChangeKind.ADDED and change.mailbox_id == mailbox.mailbox_id
                for uid in numbers(change.uids)
            ]
            assert logged == added == list(range(1, len(added) + 1))


async def deliver_and_check(
    store: PostgresStore, mailboxes: Sequence[MailboxKey]
) -> list[tuple[MailboxKey, int]]:
    """Delivers one letter; answers where its copies are."""
    outcome: Delivered = await store.deliveries.deliver(letter_to(*mailboxes))
    assert not outcome.is_repeated
    placed = [each for each in outcome.outcomes if isinstance(each, Placed)]
    return [(mailbox, each.uid) for mailbox, each in zip(mailboxes, placed, strict=True)]


async def test_fifty_writers_of_one_account_write_in_one_order(copies: Sequence[PostgresStore]) -> None:
    """Commit order is UID order is modseq order: RFC 9051 §2.3.1.1, RFC 7162 §3.1."""
    inbox = await add_inbox(copies[0])
    account_id = inbox.account_id
    boxes = [inbox, *[(await copies[0].mailboxes.create(account_id, name)).key for name in ("a", "b")]]
    reader = Reader(copies[1], boxes)
    choose = random.Random(2)

    async def write(number: int, plan: random.Random) -> None:
        store = copies[number % len(copies)]
        for _ in range(10):
            await deliver_and_check(store, plan.choices(boxes, k=plan.randint(1, 3)))
            match plan.randrange(4):
                case 0:
                    await store.messages.append(plan.choice(boxes), b"Subject: a\r\n\r\n", 14, ["\\Seen"])
                case 1:
                    await store.messages.store(
                        inbox, ((1, plan.randint(1, 200)),), FlagChange.ADD, [f"w{number}"]
                    )
                case 2:
                    await store.messages.copy(inbox, ((1, 1),), plan.choice(["a", "b"]))

    await asyncio.gather(*(write(number, random.Random(choose.random())) for number in range(WRITERS)))
    await reader.finish()
    await reader.assert_saw_everything()
    assert sum(map(len, reader.added.values())) >= WRITERS * 10
    assert reader.reads > 3


async def test_a_thousand_letters_to_random_accounts_meet_no_deadlock(
    copies: Sequence[PostgresStore], database_url: str
) -> None:
    """Batches pass over busy accounts, and whoever waits waits in key order."""
    boxes = [await add_inbox(copies[0]) for _ in range(12)]
    choose = random.Random(3)
    readers = [Reader(copies[number % 2], [box]) for number, box in enumerate(boxes[:3])]
    plans = [choose.choices(boxes, k=choose.randint(1, 5)) for _ in range(1000)]
    limit = asyncio.Semaphore(WRITERS)

    async def send(number: int) -> list[tuple[MailboxKey, int]]:
        async with limit:
            return await deliver_and_check(copies[number % 2], plans[number])

    async def disturb() -> None:
        while True:
            async with held(database_url, choose.choice(boxes).account_id):
                await asyncio.sleep(0.002)

    disturbing = asyncio.create_task(disturb())
    found = await asyncio.gather(*map(send, range(1000)))
    disturbing.cancel()
    given: dict[MailboxKey, list[int]] = defaultdict(list)
    for mailbox, uid in (each for copies_of_it in found for each in copies_of_it):
        given[mailbox].append(uid)
    assert sum(map(len, given.values())) == sum(map(len, plans))
    for uids in given.values():
        assert sorted(uids) == list(range(1, len(uids) + 1))
    for reader in readers:
        await reader.finish()
        await reader.assert_saw_everything()
    await asyncio.gather(disturbing, return_exceptions=True)
    assert await deadlocks(database_url) == 0


async def deadlocks(database_url: str) -> int:
    """How many PostgreSQL has met in this database."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        row = await (
            await connection.execute(
                "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            )
        ).fetchone()
    assert row is not None
    return int(row[0])
