"""Copy. RFC 9051 §6.4.7: all messages arrive, or none."""

from uuid import uuid4

import pytest

from services.mail.errors import InvalidName, MailboxNotFound, OverQuota
from services.mail.store.accounts import Quota
from services.mail.store.flags import flag_names
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Items
from services.mail.store.uids import count
from tests.contract.subject import EVERY, Subject, letter, message

ALL_ITEMS = (
    Items.INTERNALDATE
    | Items.SIZE
    | Items.ENVELOPE
    | Items.STRUCTURE
    | Items.PARTS
    | Items.HEADER
    | Items.BODY
    | Items.FLAGS
    | Items.MODSEQ
)


async def target_of(subject: Subject, inbox: MailboxKey) -> MailboxKey:
    """A mailbox to copy into."""
    return (await subject.store.mailboxes.create(inbox.account_id, "Target")).key


async def test_a_copy_is_the_same_message_elsewhere(subject: Subject) -> None:
    """Octets, head, dates, flags and structure; \\Recent in its new place."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.append(target)
    await subject.store.mailboxes.open(inbox.account_id, "Target", claims_recent=True)
    await subject.store.messages.append(inbox, message(500), 500, ["\\Seen", "kept"], 1_000_000_001)
    await subject.store.deliveries.deliver(letter(inbox, body=message(300_000), heads=[b"H: 1\r\n"]))
    copied = await subject.store.messages.copy(inbox, EVERY, "Target")
    mailbox, status = await subject.store.mailboxes.status(inbox.account_id, "Target")
    assert (copied.uid_validity, copied.sources, copied.targets) == (
        mailbox.uid_validity,
        ((1, 2),),
        ((2, 3),),
    )
    assert (status.messages, status.unseen, status.first_recent) == (3, 2, 2)
    before = await subject.rows(inbox, EVERY, ALL_ITEMS)
    after = await subject.rows(target, ((2, 3),), ALL_ITEMS)
    for column in ("internal_at", "sizes", "envelopes", "structures", "parts", "heads", "headers", "bodies"):
        assert list(getattr(before, column)) == list(getattr(after, column)), column
    told = [set(flag_names(flags, after.keywords)) for flags in after.flags]
    assert told == [{"\\Seen", "kept"}, set()]
    assert set(after.modseqs) == {status.highest_modseq}
    assert await subject.octets(target, 3) == b"H: 1\r\n" + message(300_000)


async def test_a_copy_outlives_its_source(subject: Subject) -> None:
    """Content is shared; one name for it is enough."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.append(inbox, octets=message(300_000))
    await subject.store.messages.copy(inbox, EVERY, "Target")
    await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True)
    assert await subject.octets(target, 1) == message(300_000)


async def test_sources_and_targets_pair_up_over_gaps(subject: Subject) -> None:
    """RFC 4315 §3; uids that do not live are passed over."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 70)
    await subject.store.messages.expunge(inbox, ((3, 3), (10, 66)), even_undeleted=True)
    copied = await subject.store.messages.copy(inbox, ((2, 9), (60, 68), (500, 600)), "Target")
    assert copied.sources == ((2, 2), (4, 9), (67, 68))
    assert copied.targets == ((1, 9),)
    assert count(copied.sources) == count(copied.targets)
    for source, copy in zip([2, 4, 5, 6, 7, 8, 9, 67, 68], range(1, 10), strict=True):
        assert await subject.octets(target, copy) == await subject.octets(inbox, source)


async def test_a_mailbox_may_be_copied_into_itself(subject: Subject) -> None:
    """RFC 9051 §6.4.7 does not forbid it."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    copied = await subject.store.messages.copy(inbox, EVERY, "inbox")
    assert (copied.sources, copied.targets) == (((1, 2),), ((3, 4),))


@pytest.mark.parametrize("uids", [(), ((5, 9),)])
async def test_nothing_to_copy_copies_nothing(subject: Subject, uids: tuple[tuple[int, int], ...]) -> None:
    """No modseq, no row of the log."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 1)
    before = await subject.store.mailboxes.highest_modseq(target)
    copied = await subject.store.messages.copy(inbox, uids, "Target")
    assert (copied.sources, copied.targets) == ((), ())
    assert await subject.store.mailboxes.highest_modseq(target) == before


async def test_a_missing_target_or_source_is_named(subject: Subject) -> None:
    """RFC 9051 §6.4.7, TRYCREATE is the door's."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 1)
    for key, name in ((inbox, "Nowhere"), (MailboxKey(inbox.account_id, 999), "INBOX")):
        with pytest.raises(MailboxNotFound):
            await subject.store.messages.copy(key, EVERY, name)
    with pytest.raises(InvalidName):
        await subject.store.messages.copy(inbox, EVERY, "a//b")


async def test_copies_count_against_the_quota_and_all_arrive_or_none(subject: Subject) -> None:
    """RFC 9208 §4.3."""
    inbox = await subject.inbox(Quota(bytes=40))
    target = await target_of(subject, inbox)
    for _ in range(3):
        await subject.append(inbox, octets=b"1234567890")
    with pytest.raises(OverQuota):
        await subject.store.messages.copy(inbox, ((1, 2),), "Target")
    assert await subject.live(target) == []
    await subject.store.messages.copy(inbox, ((1, 1),), "Target")
    assert (await subject.store.accounts.usage(inbox.account_id)).bytes == 40


async def test_a_repeated_request_id_copies_nothing(subject: Subject) -> None:
    """And answers the same, also when the source is gone meanwhile."""
    inbox, request_id = await subject.inbox(), uuid4()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 3)
    first = await subject.store.messages.copy(inbox, ((1, 2),), "Target", request_id)
    await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True)
    assert await subject.store.messages.copy(inbox, ((1, 2),), "Target", request_id) == first
    assert await subject.live(target) == [1, 2]
