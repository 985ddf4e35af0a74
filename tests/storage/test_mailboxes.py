"""Mailboxes on PostgreSQL: what several do at once, what a refusal leaves, and what only SQL can get wrong."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from services.mail.errors import (
    AccountUnknown,
    InvalidName,
    MailboxExists,
    MailboxNotFound,
    SpecialUseRefused,
)
from services.mail.store.changes import Change, ChangeKind
from services.mail.store.flags import flag_names
from services.mail.store.mailboxes import DEFAULT_FOLDERS, Mailbox, MailboxKey, Opened
from services.mail.store.messages import FlagChange, Items
from services.mail.store.uids import FULL, LAST_UID, Runs, from_masks
from services.storage.store import PostgresStore
from tests.storage.conftest import OCTETS, held, inbox, letter

EVERY: Runs = ((1, LAST_UID),)


async def fill(store: PostgresStore, mailbox: MailboxKey, messages: int) -> None:
    """Adds messages, gathered."""
    await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(messages)))


async def names(store: PostgresStore, account_id: int) -> list[str]:
    """What is listed, but for what every account has besides INBOX."""
    listed = [mailbox.name for mailbox in (await store.mailboxes.list(account_id)).mailboxes]
    defaults = {name for name, _ in DEFAULT_FOLDERS}
    assert defaults <= set(listed)
    return [name for name in listed if name not in defaults]


async def log_of(store: PostgresStore, account_id: int, since: int) -> Sequence[Change]:
    """What was logged after this modseq."""
    return await store.changes.list(account_id, since, 1000)


async def modseq_of(store: PostgresStore, account_id: int) -> int:
    """The modseq of the account's last write."""
    return (await log_of(store, account_id, 0))[-1].modseq


async def test_of_many_who_make_one_name_one_does(store: PostgresStore) -> None:
    """RFC 9051 §6.3.4: the others hear that it is there."""
    account_id = (await inbox(store)).account_id
    made = await asyncio.gather(
        *(store.mailboxes.create(account_id, "a/b") for _ in range(10)), return_exceptions=True
    )
    assert sum(isinstance(each, Mailbox) for each in made) == 1
    assert sum(isinstance(each, MailboxExists) for each in made) == 9
    assert await names(store, account_id) == ["INBOX", "a", "a/b"]


async def test_of_many_who_give_one_use_one_does(store: PostgresStore) -> None:
    """RFC 6154 §3; the others make nothing."""
    account_id = (await inbox(store)).account_id
    await store.mailboxes.delete(account_id, "Sent")
    made = await asyncio.gather(
        *(store.mailboxes.create(account_id, f"s{number}/x", "\\Sent") for number in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Mailbox) for each in made) == 1
    assert sum(isinstance(each, SpecialUseRefused) for each in made) == 7
    assert len((await store.mailboxes.list(account_id, "s")).mailboxes) == 2


async def test_mailboxes_made_at_once_have_numbers_and_validities_of_their_own(store: PostgresStore) -> None:
    """RFC 9051 §2.3.1.1."""
    account_id = (await inbox(store)).account_id
    await asyncio.gather(*(store.mailboxes.create(account_id, f"shared/{n}") for n in range(20)))
    mailboxes = (await store.mailboxes.list(account_id)).mailboxes
    assert len(mailboxes) == 27
    assert len({mailbox.key for mailbox in mailboxes}) == len({each.uid_validity for each in mailboxes}) == 27
    assert {each.object_id for each in mailboxes} == {f"M{account_id}-{n}" for n in range(1, 28)}


async def test_names_come_by_code_point_and_only_inferiors_count_as_such(store: PostgresStore) -> None:
    """Whatever the collation of the database; wildcards of SQL in a name are letters."""
    account_id = (await inbox(store)).account_id
    for name in ("a_/x", "a", "ab", "a.", "a0", "Z", "\xe9", "aB/c", "a-b"):
        await store.mailboxes.create(account_id, name)
    listed = await names(store, account_id)
    assert listed == sorted(listed)
    await store.mailboxes.rename(account_id, "a_", "m")
    await store.mailboxes.delete(account_id, "a")
    assert {"m", "m/x", "ab", "aB/c"} <= set(await names(store, account_id))


async def test_a_write_is_one_modseq_and_stirs_its_followers(store: PostgresStore) -> None:
    """Superiors are made in the same write; a refusal leaves nothing in the log."""
    account_id = (await inbox(store)).account_id
    stirred: list[Sequence[int]] = []
    store.database.on_commit = stirred.append
    modseq = await modseq_of(store, account_id)
    await store.mailboxes.create(account_id, "a/b/c")
    await store.mailboxes.rename(account_id, "a/b", "x/y/z")
    await store.mailboxes.delete(account_id, "x/y/z/c")
    log = await log_of(store, account_id, modseq)
    assert sorted((each.modseq - modseq, each.kind) for each in log) == [
        *[(1, ChangeKind.MAILBOX_CREATED)] * 3,
        *[(2, ChangeKind.MAILBOX_CREATED)] * 2,
        *[(2, ChangeKind.MAILBOX_RENAMED)] * 2,
        (3, ChangeKind.MAILBOX_DELETED),
    ]
    assert stirred == [[account_id]] * 3
    with pytest.raises(MailboxExists):
        await store.mailboxes.create(account_id, "x")
    with pytest.raises(MailboxNotFound):
        await store.mailboxes.delete(account_id, "nowhere")
    assert len(await log_of(store, account_id, modseq)) == len(log)


@pytest.mark.parametrize("inferior", ["/".join(["y" * 250] * 2), "/".join(["y"] * 30)])
async def test_a_rename_that_an_inferior_forbids_leaves_nothing(store: PostgresStore, inferior: str) -> None:
    """Neither the superiors of the new name nor a modseq."""
    account_id = (await inbox(store)).account_id
    await store.mailboxes.create(account_id, f"a/{inferior}")
    before, modseq = await names(store, account_id), await modseq_of(store, account_id)
    with pytest.raises(InvalidName):
        await store.mailboxes.rename(account_id, "a", "/".join(["z" * 20] * 25))
    with pytest.raises(MailboxNotFound):
        await store.mailboxes.rename(account_id, "nowhere", "p/q")
    assert await names(store, account_id) == before
    assert await modseq_of(store, account_id) == modseq


async def test_what_only_a_program_sends_is_refused(store: PostgresStore) -> None:
    """A special use goes out in LIST as it is (RFC 6154 §2)."""
    account_id = (await inbox(store)).account_id
    with pytest.raises(SpecialUseRefused):
        await store.mailboxes.create(account_id, "a", "\\Sent\r\n* BYE")
    with pytest.raises(AccountUnknown):
        await store.mailboxes.create(2**40, "a")


async def test_renaming_inbox_moves_its_messages_and_leaves_it(store: PostgresStore) -> None:
    """RFC 9051 §6.3.6: INBOX stays, empty, with its inferiors; its sessions hear of expunges, and can still fetch."""
    mailbox = await inbox(store)
    account_id = mailbox.account_id
    await store.mailboxes.create(account_id, "INBOX/below")
    await fill(store, mailbox, 70)
    late = [f"k{n}" for n in range(60)]
    await store.messages.store(mailbox, ((69, 70),), FlagChange.ADD, ["\\Flagged", *late])
    await store.messages.expunge(mailbox, ((2, 66),), even_undeleted=True)
    since, usage = await store.mailboxes.highest_modseq(mailbox), await store.accounts.usage(account_id)
    await store.mailboxes.rename(account_id, "inbox", "old/2026")
    assert await names(store, account_id) == ["INBOX", "INBOX/below", "old", "old/2026"]
    delta = await store.mailboxes.sync(mailbox, since, 71)
    assert (delta.expunged, delta.added, delta.status.messages) == (((1, 1), (67, 70)), (), 0)
    moved, status = await store.mailboxes.status(account_id, "old/2026")
    assert (moved.key == mailbox, status.messages, status.uid_next) == (False, 5, 6)
    pages = [page async for page in store.messages.fetch(moved.key, EVERY, Items.FLAGS | Items.BODY)]
    assert [flag_names(bits, pages[0].keywords) for bits in pages[0].flags] == [
        *[[]] * 3,
        *[["\\Flagged", *late]] * 2,
    ]
    assert pages[0].bodies == [OCTETS] * 5
    assert await store.accounts.usage(account_id) == usage
    # What arrives next goes to INBOX, under the next uid.
    await fill(store, mailbox, 1)
    assert (await store.mailboxes.sync(mailbox, delta.status.highest_modseq, 71)).added == ((71, 71),)


async def test_renaming_inbox_to_a_name_that_is_there_moves_nothing(store: PostgresStore) -> None:
    """Whoever wins the race: a message is in INBOX, or in the mailbox that the rename made."""
    mailbox = await inbox(store)
    await fill(store, mailbox, 3)
    await store.mailboxes.create(mailbox.account_id, "taken")
    before = await modseq_of(store, mailbox.account_id)
    with pytest.raises(MailboxExists):
        await store.mailboxes.rename(mailbox.account_id, "INBOX", "taken")
    assert await modseq_of(store, mailbox.account_id) == before
    assert (await store.mailboxes.status(mailbox.account_id, "INBOX"))[1].messages == 3
    renames = [store.mailboxes.rename(mailbox.account_id, "INBOX", "won") for _ in range(5)]
    outcomes = await asyncio.gather(*renames, return_exceptions=True)
    assert sum(isinstance(each, MailboxExists) for each in outcomes) == 4
    assert (await store.mailboxes.status(mailbox.account_id, "won"))[1].messages == 3


async def test_the_64th_message_of_a_block_lives_like_any_other(store: PostgresStore) -> None:
    """Its bit is the sign of SQL's bigint, in masks and in flags."""
    mailbox = await inbox(store)
    await fill(store, mailbox, 128)
    last = [f"k{n}" for n in range(59)]
    since = (await store.messages.store(mailbox, ((1, 1),), FlagChange.ADD, last)).highest_modseq
    await store.messages.expunge(mailbox, ((65, 127),), even_undeleted=True)
    opened = await store.mailboxes.open(mailbox.account_id, "INBOX", claims_recent=False)
    assert (list(opened.blocks), opened.masks[0] & FULL) == ([0, 1], FULL)
    assert from_masks(opened.blocks, opened.masks) == ((1, 64), (128, 128))
    await store.messages.store(mailbox, ((64, 64), (128, 128)), FlagChange.ADD, [last[0], *last[57:]])
    delta = await store.mailboxes.sync(mailbox, since, 129)
    assert list(delta.uids) == [64, 128]
    assert {tuple(flag_names(bits, delta.keywords)) for bits in delta.flags} == {("k0", "k57", "k58")}


async def test_each_recent_message_is_told_to_one_of_many(store: PostgresStore) -> None:
    """RFC 3501 §2.3.2; and what a session is told is within its own snapshot."""
    mailbox = await inbox(store)

    async def opening() -> list[Opened]:
        return [
            await store.mailboxes.open(mailbox.account_id, "INBOX", claims_recent=True) for _ in range(10)
        ]

    *opened, _ = await asyncio.gather(*(opening() for _ in range(4)), fill(store, mailbox, 100))
    told: list[int] = []
    for each in [*(one for several in opened if several for one in several), (await opening())[0]]:
        assert each.first_recent <= each.status.uid_next
        told += range(each.first_recent, each.status.uid_next)
    assert sorted(told) == list(range(1, 101))


async def test_the_first_unseen_message_is_looked_for_at_both_ends_of_a_large_mailbox(
    store: PostgresStore,
) -> None:
    """RFC 3501 §6.3.1: UNSEEN may be missing, and a SELECT is no search; what is told is always the first."""
    mailbox = await inbox(store)
    await store.messages.append(mailbox, OCTETS, len(OCTETS), ["\\Seen"])
    for _ in range(11):
        await store.messages.copy(mailbox, EVERY, "INBOX")

    async def first_after(change: FlagChange, uid: int) -> int:
        await store.messages.store(mailbox, ((uid, uid),), change, ["\\Seen"])
        return (await store.mailboxes.open(mailbox.account_id, "INBOX", False)).first_unseen

    assert await first_after(FlagChange.REMOVE, 2048) == 2048
    assert await first_after(FlagChange.REMOVE, 1600) == 1600
    assert await first_after(FlagChange.REMOVE, 1000) == 0
    assert await first_after(FlagChange.REMOVE, 64) == 64
    assert await first_after(FlagChange.ADD, 64) == 0
    assert await first_after(FlagChange.ADD, 1000) == 1600


async def test_what_is_yet_to_come_cannot_be_claimed(store: PostgresStore) -> None:
    """A claim ends at the mailbox's uid_next."""
    mailbox = await inbox(store)
    await fill(store, mailbox, 2)
    assert await store.mailboxes.claim_recent(mailbox, LAST_UID) == 1
    await fill(store, mailbox, 1)
    assert await store.mailboxes.claim_recent(mailbox, 4) == 3


async def test_reading_and_claiming_wait_for_nobody(store: PostgresStore, database_url: str) -> None:
    """architecture.md, "The rule of writing": while somebody holds the account."""
    mailbox = await inbox(store)
    await fill(store, mailbox, 2)
    async with held(database_url, mailbox.account_id):
        opened = await store.mailboxes.open(mailbox.account_id, "INBOX", claims_recent=True)
        assert (opened.first_recent, opened.status.messages) == (1, 2)
        assert await store.mailboxes.highest_modseq(mailbox) == opened.status.highest_modseq
        assert (await store.mailboxes.sync(mailbox, opened.status.highest_modseq, 3)).added == ()
        await store.mailboxes.subscribe(mailbox.account_id, "a", True)
        assert (await store.mailboxes.list(mailbox.account_id, "a")).subscribed == ["a"]


async def test_a_delta_is_one_snapshot(store: PostgresStore) -> None:
    """However the writers run, the view that deltas build is the mailbox that a counter counts."""
    mailbox = await inbox(store)
    opened = await store.mailboxes.open(mailbox.account_id, "INBOX", claims_recent=False)
    view: set[int] = set()
    since, uid_next = opened.status.highest_modseq, opened.status.uid_next

    async def write() -> None:
        for number in range(1, 31):
            await fill(store, mailbox, 3)
            await store.messages.expunge(mailbox, ((number * 2, number * 2),), even_undeleted=True)

    writing = asyncio.create_task(write())
    is_last = False
    while not is_last:
        is_last = writing.done()
        delta = await store.mailboxes.sync(mailbox, since, uid_next)
        view -= {uid for first, last in delta.expunged for uid in range(first, last + 1)}
        view |= {uid for first, last in delta.added for uid in range(first, last + 1)}
        assert len(view) == delta.status.messages
        since, uid_next = delta.status.highest_modseq, delta.status.uid_next
    await writing
    assert (len(view), uid_next) == (60, 91)


async def test_what_a_deleted_mailbox_held_goes_and_its_copies_stay(
    store: PostgresStore, database_url: str
) -> None:
    """The octets go with the last message that names them, once nobody can ask for them."""
    mailbox = await inbox(store)
    made = (await store.mailboxes.create(mailbox.account_id, "a")).key
    await fill(store, made, 3)
    await store.messages.copy(made, ((2, 2),), "INBOX")
    await store.mailboxes.delete(mailbox.account_id, "a")
    assert (await store.accounts.usage(mailbox.account_id)).messages == 1
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("UPDATE expunged SET at = at - interval '1 year'")
        await store.sweeper.sweep()
        counted = await connection.execute(
            "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM bodies), (SELECT count(*) FROM flag_blocks)"
        )
        assert await counted.fetchone() == (1, 1, 1)
    pages = [page async for page in store.messages.fetch(mailbox, EVERY, Items.BODY)]
    assert pages[0].bodies == [OCTETS]
