"""Deliveries: whole or by recipient, durable, once. RFC 5321 §4.2.5, RFC 2033 §4.2."""

import asyncio
from uuid import uuid4

import pytest

from services.mail.errors import InvalidMessage, MailboxNotFound, MessageTooLarge, OverQuota, StoreUnavailable
from services.mail.store.accounts import Quota
from services.mail.store.changes import ChangeKind
from services.mail.store.deliveries import Addressee, Letter, Mode, Placed
from services.mail.store.flags import flag_names
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended, Items
from tests.contract.subject import EVERY, MAX_MESSAGE_OCTETS, Subject, in_chunks, letter, message


async def test_a_letter_reaches_every_addressee_with_a_head_of_his_own(subject: Subject) -> None:
    """And the octets of each copy are exact."""
    boxes = [await subject.inbox() for _ in range(3)]
    heads = [b"X: %d\r\n" % number for number in range(3)]
    delivered = await subject.store.deliveries.deliver(
        letter(*boxes, body=b"A: b\r\n\r\n\0\xff", heads=heads)
    )
    assert not delivered.is_repeated
    for box, head, outcome in zip(boxes, heads, delivered.outcomes, strict=True):
        mailbox, status = await subject.store.mailboxes.status(box.account_id, "INBOX")
        assert outcome == Placed(mailbox.uid_validity, 1)
        assert (status.messages, status.unseen, status.uid_next, status.first_recent) == (1, 1, 2, 1)
        assert await subject.octets(box, 1) == head + b"A: b\r\n\r\n\0\xff"


async def test_an_addressee_twice_in_a_letter_gets_two_copies(subject: Subject) -> None:
    """The port."""
    inbox = await subject.inbox()
    delivered = await subject.store.deliveries.deliver(letter(inbox, inbox, heads=[b"N: 1\r\n", b"N: 2\r\n"]))
    uids = [outcome.uid for outcome in delivered.outcomes if isinstance(outcome, Placed)]
    assert uids == [1, 2]
    assert (await subject.octets(inbox, 1)).startswith(b"N: 1\r\n")
    assert (await subject.octets(inbox, 2)).startswith(b"N: 2\r\n")


async def test_a_letter_may_come_with_flags(subject: Subject) -> None:
    """An addressee's own."""
    inbox = await subject.inbox()
    addressee = Addressee(inbox, flags=["\\Seen", "$Label1"])
    await subject.store.deliveries.deliver(Letter(uuid4(), [addressee, Addressee(inbox)], b"x", 1))
    page = await subject.rows(inbox, EVERY, Items.FLAGS)
    assert [set(flag_names(flags, page.keywords)) for flags in page.flags] == [{"\\Seen", "$Label1"}, set()]
    status = (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]
    assert (status.messages, status.unseen) == (2, 1)


async def test_several_mailboxes_of_one_account_are_served_together(subject: Subject) -> None:
    """Each under its own uids, all of them in the log."""
    inbox = await subject.inbox()
    other = (await subject.store.mailboxes.create(inbox.account_id, "Other")).key
    since = await subject.store.mailboxes.highest_modseq(other)
    await subject.store.deliveries.deliver(letter(inbox, other, inbox))
    assert (await subject.live(inbox), await subject.live(other)) == ([1, 2], [1])
    log = await subject.store.changes.list(inbox.account_id, since, 100)
    added = {(change.mailbox_id, run) for change in log for run in change.uids}
    assert {change.kind for change in log} == {ChangeKind.ADDED}
    assert added == {(inbox.mailbox_id, (1, 2)), (other.mailbox_id, (1, 1))}


async def test_whole_means_that_one_missing_mailbox_refuses_all(subject: Subject) -> None:
    """Mode ALL: SMTP has one reply for a letter. RFC 5321 §4.2.5."""
    inbox = await subject.inbox()
    for missing in (MailboxKey(inbox.account_id, 999), MailboxKey(2**40, 1)):
        with pytest.raises(MailboxNotFound):
            await subject.store.deliveries.deliver(letter(inbox, missing))
    assert await subject.live(inbox) == []
    assert (await subject.store.accounts.usage(inbox.account_id)).messages == 0


async def test_whole_means_that_one_full_account_refuses_all(subject: Subject) -> None:
    """Mode ALL, wherever in the letter it stands."""
    inbox, full = await subject.inbox(), await subject.inbox(Quota(bytes=5))
    for boxes in ((inbox, full), (full, inbox)):
        with pytest.raises(OverQuota):
            await subject.store.deliveries.deliver(letter(*boxes, body=b"123456"))
    assert (await subject.live(inbox), await subject.live(full)) == ([], [])


async def test_by_recipient_each_has_an_outcome_of_its_own(subject: Subject) -> None:
    """Mode EACH. RFC 2033 §4.2."""
    inbox, full = await subject.inbox(), await subject.inbox(Quota(bytes=5))
    missing = MailboxKey(inbox.account_id, 999)
    boxes = (full, inbox, missing, inbox)
    delivered = await subject.store.deliveries.deliver(letter(*boxes, body=b"123456", mode=Mode.EACH))
    kinds = [type(outcome) for outcome in delivered.outcomes]
    assert kinds == [OverQuota, Placed, MailboxNotFound, Placed]
    assert (await subject.live(inbox), await subject.live(full)) == ([1, 2], [])


async def test_a_quota_holds_the_letter_with_its_head_exactly(subject: Subject) -> None:
    """Octets of the copies as they go out."""
    inbox = await subject.inbox(Quota(bytes=20, messages=2))
    head = b"H: 1\r\n"
    with pytest.raises(OverQuota):
        await subject.store.deliveries.deliver(letter(inbox, inbox, body=b"12345", heads=[head, head]))
    assert await subject.live(inbox) == []
    await subject.store.deliveries.deliver(letter(inbox, inbox, body=b"1234", heads=[head, head]))
    assert await subject.live(inbox) == [1, 2]
    usage = await subject.store.accounts.usage(inbox.account_id)
    assert (usage.bytes, usage.messages) == (20, 2)


@pytest.mark.parametrize("mode", Mode)
async def test_a_repeated_request_id_stores_nothing_and_says_so(subject: Subject, mode: Mode) -> None:
    """A retried letter takes effect once, also with another body."""
    one, two, request_id = await subject.inbox(), await subject.inbox(), uuid4()
    first = await subject.store.deliveries.deliver(letter(one, two, one, mode=mode, request_id=request_id))
    await subject.fill(one, 1)
    again = await subject.store.deliveries.deliver(letter(one, two, one, mode=mode, request_id=request_id))
    assert again.is_repeated
    assert list(again.outcomes) == list(first.outcomes)
    assert (await subject.live(one), await subject.live(two)) == ([1, 2, 3], [1])


async def test_a_request_id_belongs_to_its_account(subject: Subject) -> None:
    """The same one in another account is another request."""
    one, two, request_id = await subject.inbox(), await subject.inbox(), uuid4()
    await subject.store.deliveries.deliver(letter(one, request_id=request_id))
    assert not (await subject.store.deliveries.deliver(letter(two, request_id=request_id))).is_repeated
    assert await subject.live(two) == [1]


async def test_a_refused_letter_may_be_stored_when_it_comes_again(subject: Subject) -> None:
    """Only what took effect is remembered."""
    inbox, request_id = await subject.inbox(Quota(bytes=1)), uuid4()
    with pytest.raises(OverQuota):
        await subject.store.deliveries.deliver(letter(inbox, body=b"12", request_id=request_id))
    await subject.store.accounts.set_quota(inbox.account_id, Quota(bytes=2))
    delivered = await subject.store.deliveries.deliver(letter(inbox, body=b"12", request_id=request_id))
    assert not delivered.is_repeated
    assert await subject.live(inbox) == [1]


@pytest.mark.parametrize("is_sized", [True, False])
async def test_a_large_letter_comes_in_chunks_and_is_shared(subject: Subject, is_sized: bool) -> None:
    """Its size is known, or told by its end."""
    one, two, content = await subject.inbox(), await subject.inbox(), message(700_001)
    sent = letter(
        one,
        two,
        body=in_chunks(content, 100_003, 1, 262_144),
        heads=[b"A: 1\r\n"],
        size=len(content) if is_sized else None,
    )
    await subject.store.deliveries.deliver(sent)
    assert await subject.octets(one, 1) == b"A: 1\r\n" + content
    assert await subject.octets(two, 1) == content


async def test_an_empty_letter_is_a_letter(subject: Subject) -> None:
    """0 octets, in one piece and as an iterator without chunks."""
    inbox = await subject.inbox()
    await subject.store.deliveries.deliver(letter(inbox, body=b""))
    await subject.store.deliveries.deliver(letter(inbox, body=in_chunks(b"", 1)))
    page = await subject.rows(inbox, EVERY, Items.BODY | Items.SIZE)
    assert (list(page.bodies), list(page.sizes)) == ([b"", b""], [0, 0])


async def test_a_letter_of_another_size_is_refused_and_leaves_nothing(subject: Subject) -> None:
    """InvalidMessage."""
    inbox = await subject.inbox()
    for body in (message(500), in_chunks(message(500_000), 99_999)):
        with pytest.raises(InvalidMessage):
            await subject.store.deliveries.deliver(letter(inbox, body=body, size=499))
    assert await subject.live(inbox) == []


async def test_a_letter_above_the_limit_is_refused_also_when_only_its_end_tells(subject: Subject) -> None:
    """MessageTooLarge."""
    inbox = await subject.inbox()
    for size in (MAX_MESSAGE_OCTETS + 1, None):
        body = in_chunks(message(MAX_MESSAGE_OCTETS + 1), 262_144)
        with pytest.raises(MessageTooLarge):
            await subject.store.deliveries.deliver(letter(inbox, body=body, size=size))
    assert await subject.live(inbox) == []


async def test_letters_at_once_get_uids_without_gaps(subject: Subject) -> None:
    """Whoever comes at the same time is numbered one after the other."""
    inbox = await subject.inbox()
    sent = [letter(inbox, body=b"N: %d\r\n\r\n" % number) for number in range(40)]
    delivered = await asyncio.gather(*(subject.store.deliveries.deliver(each) for each in sent))
    uids = [each.outcomes[0].uid for each in delivered if isinstance(each.outcomes[0], Placed)]
    assert sorted(uids) == list(range(1, 41))
    for number, uid in enumerate(uids):
        assert await subject.octets(inbox, uid) == b"N: %d\r\n\r\n" % number


async def test_a_refused_letter_hurts_none_that_came_at_the_same_time(subject: Subject) -> None:
    """Poison in a batch: quota, a folder that is gone, NUL and octets that are no text."""
    inbox, full = await subject.inbox(), await subject.inbox(Quota(bytes=1))
    gone = (await subject.store.mailboxes.create(inbox.account_id, "Gone")).key
    await subject.store.mailboxes.delete(inbox.account_id, "Gone")
    bodies = [
        b"Subject: \0\xed\xa0\x80\r\nFrom: \0 <\xff@\0>\r\n\r\n\0",
        b"\0",
        b"=?utf-8?q?=00=ED=A0=80?=",
        b"",
    ]
    good = [letter(inbox, body=body) for body in bodies * 3]
    bad = [letter(full), letter(gone), letter(inbox, gone), letter(full, inbox)] * 3
    sent = [each for pair in zip(good, bad, strict=True) for each in pair]
    found = await asyncio.gather(
        *(subject.store.deliveries.deliver(each) for each in sent), return_exceptions=True
    )
    assert [type(each).__name__ for each in found[::2]] == ["Delivered"] * 12
    assert [type(each) for each in found[1::2]] == [
        OverQuota,
        MailboxNotFound,
        MailboxNotFound,
        OverQuota,
    ] * 3
    assert await subject.live(inbox) == list(range(1, 13))
    octets = sorted([await subject.octets(inbox, uid) for uid in range(1, 13)])
    assert octets == sorted(bodies * 3)


@pytest.mark.parametrize("mode", Mode)
async def test_what_became_of_a_letter_can_be_asked_by_its_request_id(subject: Subject, mode: Mode) -> None:
    """For whom its answer was lost: as it was answered, and as often as it is asked."""
    one, two, request_id = await subject.inbox(), await subject.inbox(), uuid4()
    delivered = await subject.store.deliveries.deliver(
        letter(one, two, one, mode=mode, request_id=request_id)
    )
    for _ in range(2):
        settled = await subject.store.deliveries.settle(request_id, [one, two, one])
        placed = [Placed(each.uid_validity, each.uid) for each in settled if isinstance(each, Appended)]
        assert placed == list(delivered.outcomes)
    assert (await subject.live(one), await subject.live(two)) == ([1, 2], [1])


async def test_what_became_of_a_message_can_be_asked_by_its_request_id(subject: Subject) -> None:
    """With all that APPEND was answered."""
    inbox, request_id = await subject.inbox(), uuid4()
    appended = await subject.store.messages.append(inbox, b"x", 1, request_id=request_id)
    assert list(await subject.store.deliveries.settle(request_id, [inbox])) == [appended]


async def test_what_was_settled_as_not_stored_never_is(subject: Subject) -> None:
    """Whoever was told so sends again under another id: what was still on its way must not come then."""
    one, two, request_id = await subject.inbox(), await subject.inbox(), uuid4()
    settled = await subject.store.deliveries.settle(request_id, [one, two, one])
    assert [type(each) for each in settled] == [StoreUnavailable] * 3
    with pytest.raises(StoreUnavailable):
        await subject.store.deliveries.deliver(letter(one, two, one, request_id=request_id))
    each = await subject.store.deliveries.deliver(
        letter(one, two, one, request_id=request_id, mode=Mode.EACH)
    )
    assert [type(outcome) for outcome in each.outcomes] == [StoreUnavailable] * 3
    assert (await subject.live(one), await subject.live(two)) == ([], [])
    request_id = uuid4()
    await subject.store.deliveries.settle(request_id, [one])
    with pytest.raises(StoreUnavailable):
        await subject.store.messages.append(one, b"x", 1, request_id=request_id)
    assert await subject.live(one) == []


async def test_by_recipient_what_was_refused_is_settled_as_refused(subject: Subject) -> None:
    """Mode EACH. RFC 2033 §4.2."""
    inbox, request_id = await subject.inbox(), uuid4()
    boxes = [MailboxKey(inbox.account_id, 999), inbox]
    await subject.store.deliveries.deliver(letter(*boxes, mode=Mode.EACH, request_id=request_id))
    settled = await subject.store.deliveries.settle(request_id, boxes)
    assert [type(each) for each in settled] == [MailboxNotFound, Appended]
