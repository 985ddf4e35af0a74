"""Letters that are gathered: what one does never hurts another."""

import asyncio
import random
from uuid import uuid4

import psycopg
import pytest

from services.mail.errors import MailboxNotFound, OverQuota
from services.mail.store.accounts import Quota
from services.mail.store.deliveries import Delivered, Mode, Placed
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Items
from services.mail.store.uids import LAST_UID
from services.storage.deliveries.batch import Content, LetterCopy, Waiting
from services.storage.store import PostgresStore
from tests.storage.conftest import OCTETS, held, inbox, letter


def uids(outcomes: list[Delivered]) -> list[int]:
    """The uids of single copies, in order."""
    found = [each.outcomes[0] for each in outcomes]
    assert all(isinstance(each, Placed) for each in found)
    return sorted(each.uid for each in found if isinstance(each, Placed))


async def settled(store: PostgresStore, letters: int) -> None:
    """Until so many letters wait behind a lock that somebody else holds."""
    while store.gatherer.waiting < letters:  # noqa: ASYNC110 - the database is what is waited for
        await asyncio.sleep(0.01)


async def test_letters_of_a_busy_account_wait_in_its_lane_and_commit_together(
    store: PostgresStore, database_url: str
) -> None:
    """architecture.md, "The rule of writing"."""
    mailbox, other = await inbox(store), await inbox(store)
    async with held(database_url, mailbox.account_id):
        waiting = [asyncio.create_task(store.deliveries.deliver(letter(mailbox))) for _ in range(50)]
        await settled(store, 50)
        # Nobody waits for anybody else's lock.
        assert uids([await store.deliveries.deliver(letter(other))]) == [1]
    before = store.counts.by_name["deliver"]
    assert uids(await asyncio.gather(*waiting)) == list(range(1, 51))
    assert store.counts.by_name["deliver"] - before <= 2


async def test_a_letter_to_several_accounts_waits_for_the_busy_one_alone(
    store: PostgresStore, database_url: str
) -> None:
    """A letter of a busy account leaves the batch whole."""
    busy, free = await inbox(store), await inbox(store)
    async with held(database_url, busy.account_id):
        both = asyncio.create_task(store.deliveries.deliver(letter(busy, free)))
        await settled(store, 1)
        assert uids([await store.deliveries.deliver(letter(free))]) == [1]
    assert (await both).outcomes[1] == Placed(
        (await store.mailboxes.status(free.account_id, "INBOX"))[0].uid_validity, 2
    )


async def test_poison_hurts_nobody_else(store: PostgresStore, database_url: str) -> None:
    """A deleted folder, a full account and what the database refuses, in one batch with good letters."""
    good = await inbox(store)
    full = await inbox(store, Quota(bytes=len(OCTETS) * 2))
    gone = (await store.mailboxes.create(good.account_id, "gone")).key
    await store.mailboxes.delete(good.account_id, "gone")
    bad = Waiting(uuid4(), [LetterCopy(good, b"", 0)], content(encoding=70_000), is_whole=True)
    async with held(database_url, good.account_id):
        tasks = [
            asyncio.create_task(store.deliveries.deliver(letter(mailbox)))
            for mailbox in (good, gone, full, good, full, full, good)
        ]
        poison = asyncio.create_task(store.gatherer.submit(bad))
        await settled(store, 5)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = [type(each) for each in found]
    assert [kinds[0], kinds[1], kinds[3], kinds[6]] == [Delivered, MailboxNotFound, Delivered, Delivered]
    # Which of the three finds no room is not promised: they came together.
    assert sorted(kinds[each].__name__ for each in (2, 4, 5)) == ["Delivered", "Delivered", "OverQuota"]
    with pytest.raises(psycopg.DataError):
        await poison
    assert (await store.mailboxes.status(good.account_id, "INBOX"))[1].messages == 3


async def test_octets_that_text_cannot_hold_come_back_as_they_were(store: PostgresStore) -> None:
    """NUL, and octets that are no UTF-8, in header and body."""
    mailbox = await inbox(store)
    octets = b"Subject: \0\xed\xa0\x80 =?utf-8?q?=00=ED=A0=80?=\r\nFrom: \xff@x\r\n\r\n\0\xfe\r\n"
    await store.deliveries.deliver(letter(mailbox, octets=octets))
    pages = [page async for page in store.messages.fetch(mailbox, ((1, LAST_UID),), Items(255))]
    assert [page.bodies[0] for page in pages] == [octets]


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_request_takes_effect_once(store: PostgresStore, mode: Mode) -> None:
    """Also where both come at the same time."""
    first, second = await inbox(store), await inbox(store)
    sent = letter(first, second, first, mode=mode)
    found = await asyncio.gather(*(store.deliveries.deliver(sent) for _ in range(5)))
    assert sorted(each.is_repeated for each in found) == [False, True, True, True, True]
    assert all(each.outcomes == found[0].outcomes for each in found)
    assert (await store.accounts.usage(first.account_id)).messages == 2


async def test_a_whole_letter_is_stored_everywhere_or_nowhere(store: PostgresStore) -> None:
    """SMTP has one reply; LMTP has one for each recipient. RFC 2033 §4.2."""
    roomy, full = await inbox(store), await inbox(store, Quota(messages=1))
    await store.deliveries.deliver(letter(full))
    with pytest.raises(OverQuota):
        await store.deliveries.deliver(letter(roomy, full))
    assert (await store.accounts.usage(roomy.account_id)).messages == 0
    each = await store.deliveries.deliver(letter(roomy, full, MailboxKey(2**40, 1), mode=Mode.EACH))
    assert [type(outcome) for outcome in each.outcomes] == [Placed, OverQuota, MailboxNotFound]


async def test_a_quota_that_a_batch_exceeds_takes_as_many_letters_as_fit(
    store: PostgresStore, database_url: str
) -> None:
    """An account whose sum does not fit has its letters decided one by one."""
    mailbox = await inbox(store, Quota(messages=7))
    async with held(database_url, mailbox.account_id):
        tasks = [asyncio.create_task(store.deliveries.deliver(letter(mailbox))) for _ in range(20)]
        await settled(store, 20)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, Delivered) for each in found) == 7
    assert sum(isinstance(each, OverQuota) for each in found) == 13


async def test_a_cancelled_caller_breaks_no_batch(store: PostgresStore, database_url: str) -> None:
    """A letter that was taken is stored, whoever waited for it."""
    mailbox = await inbox(store)
    async with held(database_url, mailbox.account_id):
        tasks = [asyncio.create_task(store.deliveries.deliver(letter(mailbox))) for _ in range(10)]
        await settled(store, 10)
        for task in tasks[::2]:
            task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(each, Delivered) for each in found) == 5
    await store.gatherer.close()
    assert (await store.accounts.usage(mailbox.account_id)).messages == 10


async def test_random_letters_to_many_accounts_never_deadlock(
    store: PostgresStore, database_url: str
) -> None:
    """1,000 letters of one to four of eight accounts, while others hold and store; uids without gaps."""
    boxes = [await inbox(store) for _ in range(8)]
    choose = random.Random(7)

    async def disturb() -> None:
        while True:
            async with held(database_url, *(box.account_id for box in choose.sample(boxes, 2))):
                await asyncio.sleep(0.002)

    disturbing = asyncio.create_task(disturb())
    letters = [letter(*choose.sample(boxes, choose.randint(1, 4))) for _ in range(1000)]
    limit = asyncio.Semaphore(50)

    async def send(number: int) -> Delivered:
        async with limit:
            return await store.deliveries.deliver(letters[number])

    found = await asyncio.gather(*(send(number) for number in range(1000)))
    disturbing.cancel()
    await asyncio.gather(disturbing, return_exceptions=True)
    given: dict[MailboxKey, list[int]] = {box: [] for box in boxes}
    for sent, outcome in zip(letters, found, strict=True):
        for addressee, placed in zip(sent.addressees, outcome.outcomes, strict=True):
            assert isinstance(placed, Placed)
            given[addressee.mailbox].append(placed.uid)
    for each in given.values():
        assert sorted(each) == list(range(1, len(each) + 1))


def content(encoding: int) -> Content:
    """What a parser would find, with an encoding that no column holds."""
    return Content(len(OCTETS), len(OCTETS), encoding, b"()", b"()", b"\0", b"", octets=OCTETS)
