"""Imports: each key once, and the numbers that clients know a message by. RFC 9051 §2.3.1.1, RFC 1939 §7."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from services.mail.errors import (
    InvalidArgument,
    InvalidMessage,
    MailboxNotFound,
    MailboxNotFresh,
    MailError,
    MessageTooLarge,
    OverQuota,
)
from services.mail.store.accounts import Quota
from services.mail.store.changes import ChangeKind
from services.mail.store.flags import flag_names
from services.mail.store.imports import MAX_LETTERS, MAX_UID, MAX_UID_VALIDITY, Incoming, Taken, UniqueId
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items
from tests.contract.subject import EVERY, MAX_MESSAGE_OCTETS, Subject, in_chunks, message


async def each(letters: Sequence[Incoming]) -> AsyncIterator[Incoming]:
    """One after the other."""
    for letter in letters:
        yield letter


async def add(subject: Subject, mailbox: MailboxKey, *letters: Incoming) -> Sequence[Taken | MailError]:
    """All in one call."""
    return await subject.store.imports.add(mailbox, each(letters))


def letter(
    octets: bytes = b"A: b\r\n\r\nc\r\n", uid: int = 0, key: UUID | None = None, unique_id: str = ""
) -> Incoming:
    """A small one."""
    return Incoming(key or uuid4(), octets, len(octets), uid=uid, unique_id=unique_id)


async def test_flags_dates_and_octets_of_every_size_are_kept(subject: Subject) -> None:
    """Small ones travel together, a large one as a stream."""
    inbox = await subject.inbox()
    sizes = [0, 1, 5000, INLINE_OCTETS, INLINE_OCTETS + 1, 700_000, 20]
    bodies = [message(size) for size in sizes]
    letters = [
        Incoming(
            uuid4(),
            in_chunks(octets, 70_001) if place % 2 else octets,
            len(octets),
            ["\\Seen", "$Work"],
            place,
        )
        for place, octets in enumerate(bodies, 1)
    ]
    assert await add(subject, inbox, *letters) == [Taken(uid, is_repeated=False) for uid in range(1, 8)]
    page = await subject.rows(inbox, EVERY, Items.FLAGS | Items.INTERNALDATE | Items.SIZE)
    assert list(page.sizes) == sizes
    assert list(page.internal_at) == list(range(1, 8))
    assert {tuple(sorted(flag_names(flags, page.keywords))) for flags in page.flags} == {("$Work", "\\Seen")}
    for uid, octets in enumerate(bodies, 1):
        assert await subject.octets(inbox, uid) == octets


async def test_a_key_takes_effect_once_in_its_mailbox(subject: Subject) -> None:
    """In another mailbox, and in a later one of the same name, it takes effect again."""
    inbox = await subject.inbox()
    first, second = letter(), letter()
    assert await add(subject, inbox, first, first) == [
        Taken(1, is_repeated=False),
        Taken(1, is_repeated=True),
    ]
    assert await add(subject, inbox, second, first) == [
        Taken(2, is_repeated=False),
        Taken(1, is_repeated=True),
    ]
    assert await subject.live(inbox) == [1, 2]
    other = (await subject.store.mailboxes.create(inbox.account_id, "Other")).key
    assert await add(subject, other, first) == [Taken(1, is_repeated=False)]
    await subject.store.mailboxes.delete(inbox.account_id, "Other")
    anew = (await subject.store.mailboxes.create(inbox.account_id, "Other")).key
    assert await add(subject, anew, first) == [Taken(1, is_repeated=False)]


async def test_what_was_expunged_does_not_come_again(subject: Subject) -> None:
    """Whoever deletes a message and imports again has deleted it."""
    inbox, known = await subject.inbox(), letter()
    await add(subject, inbox, known)
    await subject.store.messages.expunge(inbox, even_undeleted=True)
    assert await add(subject, inbox, known) == [Taken(1, is_repeated=True)]
    assert await subject.live(inbox) == []


async def test_keys_that_took_effect_are_found(subject: Subject) -> None:
    """So that their octets need not be sent again."""
    inbox = await subject.inbox(Quota(messages=1))
    first, refused = letter(), letter()
    await add(subject, inbox, first, refused)
    keys = [refused.key, first.key, uuid4()]
    assert list(await subject.store.imports.find_taken(inbox, keys)) == [False, True, False]
    nowhere = MailboxKey(inbox.account_id, 999)
    assert list(await subject.store.imports.find_taken(nowhere, keys)) == [False, False, False]


@pytest.mark.parametrize("gaps", [[1, 2, 3], [5, 63, 64, 65, 200], [64], [65, 128, 129, 4000, 70_000]])
async def test_uids_are_kept_whatever_lies_between(subject: Subject, gaps: list[int]) -> None:
    """RFC 9051 §2.3.1.1. Each call finds what the one before left, wherever its block ends."""
    inbox = await subject.inbox()
    letters = [letter(message(100 + uid % 50), uid) for uid in gaps]
    for one in letters[:2]:
        assert await add(subject, inbox, one) == [Taken(one.uid, is_repeated=False)]
    await add(subject, inbox, *letters[2:])
    assert await subject.live(inbox) == gaps
    page = await subject.rows(inbox, EVERY, Items.FLAGS | Items.SIZE | Items.MODSEQ)
    assert list(page.uids) == gaps
    assert list(page.sizes) == [100 + uid % 50 for uid in gaps]
    _, status = await subject.store.mailboxes.status(inbox.account_id, "INBOX")
    assert (status.uid_next, status.messages) == (gaps[-1] + 1, len(gaps))
    assert status.size == sum(page.sizes)
    log = await subject.store.changes.list(inbox.account_id, 0, 100)
    told = [run for change in log if change.kind is ChangeKind.ADDED for run in change.uids]
    assert [uid for first, last in told for uid in range(first, last + 1)] == gaps


@pytest.mark.parametrize("uid", [1, 63, 64, 65, 130])
async def test_messages_of_ones_own_follow_those_that_kept_their_uids(subject: Subject, uid: int) -> None:
    """Each in its place: flags of one are not another's."""
    inbox = await subject.inbox()
    await add(subject, inbox, letter(uid=uid))
    assert await subject.append(inbox, "\\Seen") == uid + 1
    copied = await subject.store.messages.copy(inbox, ((uid, uid + 1),), "INBOX")
    assert copied.targets == ((uid + 2, uid + 3),)
    page = await subject.rows(inbox, EVERY, Items.FLAGS)
    assert [bool(flags & 1) for flags in page.flags] == [False, True, False, True]


async def test_a_uid_that_was_given_already_is_refused_and_the_others_stay(subject: Subject) -> None:
    """A letter came in meanwhile."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    found = await add(subject, inbox, letter(uid=2), letter(uid=7))
    assert isinstance(found[0], MailboxNotFresh)
    assert found[1] == Taken(7, is_repeated=False)
    assert await subject.live(inbox) == [1, 2, 7]


async def test_uids_do_not_fall_and_are_of_all_or_of_none(subject: Subject) -> None:
    """The whole call is refused, and nothing is there of it."""
    inbox = await subject.inbox()
    for uids in ([3, 3], [3, 2], [0, 1], [1, 0]):
        with pytest.raises(InvalidArgument):
            await add(subject, inbox, *(letter(uid=uid) for uid in uids))
    with pytest.raises(InvalidArgument):
        await add(subject, inbox, *(letter() for _ in range(MAX_LETTERS + 1)))
    assert await subject.live(inbox) == []


async def test_each_is_refused_for_itself(subject: Subject) -> None:
    """Those around it are taken."""
    inbox = await subject.inbox()
    large = Incoming(uuid4(), in_chunks(b"x" * 300_000, 100_000), MAX_MESSAGE_OCTETS + 1)
    short = Incoming(uuid4(), b"x", 2)
    long = Incoming(uuid4(), in_chunks(b"x" * 400_000, 100_000), 300_000)
    strange = Incoming(uuid4(), b"x", 1, ["\\Nonsense"])
    ancient = Incoming(uuid4(), b"x", 1, internal_at=-(2**40))
    wrong = [letter(uid=0, unique_id="a"), strange, ancient, short, long, large]
    found = await add(subject, inbox, letter(), *(each for bad in wrong for each in (bad, letter())))
    assert [type(outcome) for outcome in found[1::2]] == [
        InvalidArgument,
        InvalidArgument,
        InvalidArgument,
        InvalidMessage,
        InvalidMessage,
        MessageTooLarge,
    ]
    assert found[::2] == [Taken(uid, is_repeated=False) for uid in range(1, 8)]


async def test_what_the_quota_does_not_hold_is_refused_and_may_come_later(subject: Subject) -> None:
    """RFC 9208 §5."""
    inbox = await subject.inbox(Quota(bytes=100))
    letters = [letter(message(60)), letter(message(60)), letter(message(30))]
    found = await add(subject, inbox, *letters)
    assert found[0] == Taken(1, is_repeated=False)
    assert all(isinstance(outcome, OverQuota) for outcome in found[1:])
    await subject.store.accounts.set_quota(inbox.account_id, Quota())
    assert await add(subject, inbox, *letters) == [Taken(1, True), Taken(2, False), Taken(3, False)]
    assert (await subject.store.accounts.usage(inbox.account_id)).bytes == 150


async def test_what_is_refused_for_its_uid_takes_no_room(subject: Subject) -> None:
    """Or what comes after it would be refused each time it is imported again. RFC 9208 §5."""
    inbox = await subject.inbox(Quota(bytes=100))
    assert await add(subject, inbox, letter(message(30), uid=9)) == [Taken(9, is_repeated=False)]
    found = await add(subject, inbox, letter(message(60), uid=5), letter(message(60), uid=10))
    assert isinstance(found[0], MailboxNotFresh)
    assert found[1] == Taken(10, is_repeated=False)


async def test_more_keywords_than_a_row_of_flags_holds_are_kept(subject: Subject) -> None:
    """RFC 9051 §2.3.2; those from number 58 on lie elsewhere."""
    inbox = await subject.inbox()
    names = [f"k{number}" for number in range(70)]
    letters = [Incoming(uuid4(), b"x", 1, [name], uid=uid) for uid, name in enumerate(names, 60)]
    await add(subject, inbox, *letters)
    page = await subject.rows(inbox, EVERY, Items.FLAGS)
    assert [flag_names(flags, page.keywords) for flags in page.flags] == [[name] for name in names]


async def test_no_such_mailbox(subject: Subject) -> None:
    """Of whatever is asked."""
    nowhere = MailboxKey((await subject.inbox()).account_id, 999)
    with pytest.raises(MailboxNotFound):
        await add(subject, nowhere, letter())
    with pytest.raises(MailboxNotFound):
        await subject.store.imports.renumber(nowhere, 17)
    with pytest.raises(MailboxNotFound):
        await subject.store.imports.skip_uids(nowhere, 17)
    assert list(await subject.store.imports.unique_ids(nowhere)) == []


async def test_a_fresh_mailbox_takes_another_uidvalidity(subject: Subject) -> None:
    """RFC 9051 §2.3.1.1; once more does nothing, and what is made later has a greater one."""
    inbox = await subject.inbox()
    far = 4_000_000_000
    await subject.store.imports.renumber(inbox, far)
    await subject.append(inbox)
    await subject.store.imports.renumber(inbox, far)
    assert (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[0].uid_validity == far
    later = await subject.store.mailboxes.create(inbox.account_id, "Later")
    assert later.uid_validity == far + 1
    kinds = [change.kind for change in await subject.store.changes.list(inbox.account_id, 0, 100)]
    assert kinds.count(ChangeKind.MAILBOX_CHANGED) == 1


async def test_a_mailbox_that_held_a_message_keeps_its_uidvalidity(subject: Subject) -> None:
    """Clients know its uids, also where nothing is left in it."""
    inbox = await subject.inbox()
    before = await subject.store.mailboxes.status(inbox.account_id, "INBOX")
    await subject.append(inbox)
    await subject.store.messages.expunge(inbox, even_undeleted=True)
    with pytest.raises(MailboxNotFresh):
        await subject.store.imports.renumber(inbox, 17)
    after = await subject.store.mailboxes.status(inbox.account_id, "INBOX")
    assert after[0].uid_validity == before[0].uid_validity


async def test_no_two_mailboxes_of_an_account_have_the_same_uidvalidity(subject: Subject) -> None:
    """Or a rename would show a client the wrong messages. RFC 9051 §6.3.6."""
    inbox = await subject.inbox()
    other = (await subject.store.mailboxes.create(inbox.account_id, "Other")).key
    await subject.store.imports.renumber(inbox, 17)
    await subject.append(inbox)
    with pytest.raises(MailboxNotFresh):
        await subject.store.imports.renumber(other, 17)
    # One at the end of the numbers would leave none for the mailboxes that are made later. RFC 9051 §2.3.1.1.
    for wrong in (0, -1, MAX_UID_VALIDITY + 1, 2**32 - 1, 2**32):
        with pytest.raises(InvalidArgument):
            await subject.store.imports.renumber(other, wrong)


async def test_an_empty_mailbox_makes_room_for_anothers_uidvalidity(subject: Subject) -> None:
    """By chance it has the number that another has elsewhere; nobody was told a uid of it yet."""
    inbox = await subject.inbox()
    other = await subject.store.mailboxes.create(inbox.account_id, "Other")
    await subject.store.imports.renumber(inbox, other.uid_validity)
    listing = await subject.store.mailboxes.list(inbox.account_id)
    told = {mailbox.name: mailbox.uid_validity for mailbox in listing.mailboxes}
    assert told["INBOX"] == other.uid_validity
    assert told["Other"] == other.uid_validity + 1
    assert len(set(told.values())) == len(told)
    assert (await subject.store.mailboxes.create(inbox.account_id, "New")).uid_validity > told["Other"]


@pytest.mark.parametrize("uid_next", [1, 2, 64, 65, 66, 1000, MAX_UID + 1])
async def test_uids_that_were_gone_elsewhere_are_nobodys(subject: Subject, uid_next: int) -> None:
    """RFC 9051 §2.3.1.1: UIDNEXT does not fall."""
    inbox = await subject.inbox()
    await subject.store.imports.skip_uids(inbox, uid_next)
    await subject.store.imports.skip_uids(inbox, max(uid_next // 2, 1))
    assert (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1].uid_next == uid_next
    assert await subject.append(inbox, "\\Flagged") == uid_next
    page = await subject.rows(inbox, ((uid_next, uid_next),), Items.FLAGS)
    assert list(page.uids) == [uid_next]
    assert flag_names(page.flags[0], page.keywords) == ["\\Flagged"]


async def test_a_uid_at_the_end_of_the_numbers_is_refused(subject: Subject) -> None:
    """Those that come later need room; what comes by other ways is not in the way of it."""
    inbox = await subject.inbox()
    outcomes = await add(subject, inbox, letter(uid=7), letter(uid=MAX_UID), letter(uid=MAX_UID + 1))
    assert [type(each) for each in outcomes] == [Taken, Taken, InvalidArgument]
    for wrong in (MAX_UID + 2, 2**32, 2**33):
        with pytest.raises(InvalidArgument):
            await subject.store.imports.skip_uids(inbox, wrong)
    assert await subject.append(inbox) == MAX_UID + 1


async def test_what_pop3_told_elsewhere_is_kept(subject: Subject) -> None:
    """RFC 1939 §7; of those only that came with it, and were taken."""
    inbox = await subject.inbox(Quota(messages=3))
    letters = [letter(uid=3, unique_id="a!~"), letter(uid=4), letter(uid=70, unique_id="x" * 70)]
    await add(subject, inbox, *letters, letter(uid=71, unique_id="refused"))
    kept = [UniqueId(3, "a!~"), UniqueId(70, "x" * 70)]
    assert list(await subject.store.imports.unique_ids(inbox)) == kept
    assert list(await subject.store.imports.unique_ids(inbox, 3)) == kept[1:]
    wrong = [
        letter(uid=80 + place, unique_id=text) for place, text in enumerate(["a b", "x" * 71, "é", "\n"])
    ]
    assert all(isinstance(outcome, InvalidArgument) for outcome in await add(subject, inbox, *wrong))
