"""Letters that hurt: whoever is stored together with them does not notice."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from services.mail.errors import MailboxNotFound, OverQuota
from services.mail.store.accounts import Quota
from services.mail.store.deliveries import Delivered, Letter, Placed
from services.mail.store.messages import Items
from services.mail.store.uids import LAST_UID
from services.storage.store import PostgresStore
from tests.faults.stores import OCTETS, add_inbox, held, letter_to, until

# Each is kept as it came, whatever a column of text would say to it.
POISON = [
    b"Subject: \0\r\nFrom: \0@poison.test\r\n\r\n\0\r\n",
    b"Subject: =?utf-8?q?=ED=A0=80=00?=\r\nFrom: =?utf-8?b?7aCA?= <a@b>\r\n\r\nlone surrogates\r\n",
    b"Subject: \xed\xa0\x80\xff\xfe\r\nFrom: \xff <\xfe@\x80>\r\n\r\n\xff\r\n",
    b"Content-Type: text/plain; charset=\"\0\xff\"; name*=utf-8''%00%ED%A0%80\r\n\r\nx\r\n",
    b"\0\xff\xed\xa0\x80",
]


def sent(store: PostgresStore, letters: Sequence[Letter]) -> "list[asyncio.Task[Delivered]]":
    """Deliveries under way."""
    return [asyncio.create_task(store.deliveries.deliver(each)) for each in letters]


def uids(outcomes: Sequence[object]) -> list[int]:
    """Where single copies are."""
    assert all(isinstance(each, Delivered) for each in outcomes), outcomes
    placed = [each.outcomes[0] for each in outcomes if isinstance(each, Delivered)]
    return [each.uid for each in placed if isinstance(each, Placed)]


async def test_poison_is_stored_with_its_neighbours_in_one_transaction(
    copies: Sequence[PostgresStore], database_url: str
) -> None:
    """NUL, lone surrogates, a folder deleted meanwhile, a repeated request: architecture.md, "The rule of writing"."""
    store = copies[0]
    mailbox = await add_inbox(store)
    gone = (await store.mailboxes.create(mailbox.account_id, "gone")).key
    first, poison = letter_to(mailbox), [letter_to(mailbox, octets=octets) for octets in POISON]
    good = [letter_to(mailbox) for _ in range(5)]
    async with held(database_url, mailbox.account_id) as waiters:
        deleting = asyncio.create_task(store.mailboxes.delete(mailbox.account_id, "gone"))
        await until(lambda: waiters(1))
        early = sent(store, [first])
        await until(lambda: waiters(2))
        late = sent(store, [each for pair in zip(good, poison, strict=True) for each in pair])
        lost = sent(store, [letter_to(gone), letter_to(mailbox, gone)])
        again = sent(store, [first, good[0], poison[0]])
    before = store.counts.by_name["deliver"]
    stored = await asyncio.gather(*early, *late)
    assert uids(stored) == list(range(1, 12))
    for outcome in await asyncio.gather(*lost, return_exceptions=True):
        assert isinstance(outcome, MailboxNotFound)
    repeats = await asyncio.gather(*again)
    assert all(each.is_repeated for each in repeats)
    assert uids(repeats) == [1, 2, 3]
    await deleting
    # The lane's batch, the letter for two folders with it, and the repeats: not one for each letter.
    assert store.counts.by_name["deliver"] - before <= 3
    pages = [
        page async for page in store.messages.fetch(mailbox, ((1, LAST_UID),), Items.BODY | Items.ENVELOPE)
    ]
    assert [body for page in pages for body in page.bodies][2::2] == POISON


async def test_who_is_over_quota_stands_alone(copies: Sequence[PostgresStore], database_url: str) -> None:
    """An account whose sum does not fit has its letters decided one by one; other accounts go on."""
    store = copies[0]
    full = await add_inbox(store, Quota(bytes=10 * len(OCTETS)))
    other = await add_inbox(store)
    too_large = letter_to(full, octets=OCTETS + b"x" * 20 * len(OCTETS))
    async with held(database_url, full.account_id) as waiters:
        early = sent(store, [letter_to(full)])
        await until(lambda: waiters(1))
        late = sent(store, [letter_to(full), too_large, letter_to(full)])
        both = sent(store, [letter_to(other, full), letter_to(full, other, octets=too_large.body)])
        assert uids(await asyncio.gather(*sent(store, [letter_to(other)]))) == [1]
    outcomes = await asyncio.gather(*early, *late, *both, return_exceptions=True)
    assert [type(each) for each in outcomes] == [
        Delivered,
        Delivered,
        OverQuota,
        Delivered,
        Delivered,
        OverQuota,
    ]
    assert (await store.accounts.usage(full.account_id)).messages == 4
    assert (await store.accounts.usage(other.account_id)).messages == 2


async def test_what_the_database_refuses_fails_alone(
    copies: Sequence[PostgresStore], database_url: str
) -> None:
    """An exception rolls the batch back, and its letters run one by one."""
    store = copies[0]
    mailbox = await add_inbox(store)
    good, guilty = [letter_to(mailbox) for _ in range(6)], letter_to(mailbox)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        trap = (
            b"CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE division_by_zero; END'"
        )
        await connection.execute(trap)
        await connection.execute(
            b"CREATE TRIGGER trap BEFORE INSERT ON requests FOR EACH ROW WHEN (NEW.request_id = '%b')"
            b" EXECUTE FUNCTION trap()" % str(guilty.request_id).encode()
        )
    async with held(database_url, mailbox.account_id) as waiters:
        early = sent(store, good[:1])
        await until(lambda: waiters(1))
        late = sent(store, [*good[1:3], guilty, *good[3:]])
    outcomes = await asyncio.gather(*early, *late, return_exceptions=True)
    assert isinstance(outcomes.pop(3), psycopg.errors.DivisionByZero)
    assert sorted(uids(outcomes)) == list(range(1, 7))


@pytest.mark.parametrize("mailboxes", [1, 3])
async def test_a_cancelled_caller_leaves_the_others_alone(
    copies: Sequence[PostgresStore], database_url: str, mailboxes: int
) -> None:
    """A client that goes away in the middle of a batch; its letter may come or not, whole."""
    store = copies[0]
    inboxes = [await add_inbox(store) for _ in range(mailboxes)]
    async with held(database_url, inboxes[0].account_id) as waiters:
        early = sent(store, [letter_to(inboxes[0])])
        await until(lambda: waiters(1))
        late = sent(store, [letter_to(*inboxes) for _ in range(9)])
        await asyncio.sleep(0)
        for each in late[::2]:
            each.cancel()
    outcomes = await asyncio.gather(*early, *late, return_exceptions=True)
    assert [type(each) for each in outcomes[2::2]] == [Delivered] * 4
    await store.gatherer.close()
    counts = [(await store.accounts.usage(each.account_id)).messages for each in inboxes]
    assert counts[1:] == [counts[0] - 1] * (mailboxes - 1)
