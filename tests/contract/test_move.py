"""Move. RFC 6851 §3.3: each message is in one of the two mailboxes, whatever happens."""

from uuid import uuid4

import pytest

from services.mail.errors import MailboxNotFound
from services.mail.store.accounts import Quota
from services.mail.store.changes import ChangeKind
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Items
from tests.contract.subject import EVERY, Subject, message


async def target_of(subject: Subject, inbox: MailboxKey) -> MailboxKey:
    """A mailbox to move to."""
    return (await subject.store.mailboxes.create(inbox.account_id, "Target")).key


async def test_what_is_moved_is_there_and_no_longer_here(subject: Subject) -> None:
    """RFC 6851 §3.3; sources and targets pair up as those of COPY do."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.append(inbox, "\\Seen", octets=message(300))
    await subject.fill(inbox, 69)
    before = await subject.rows(inbox, ((1, 1),), Items.FLAGS | Items.INTERNALDATE | Items.ENVELOPE)
    moved = await subject.store.messages.move(inbox, ((1, 2), (66, 300)), "Target")
    assert (moved.sources, moved.targets) == (((1, 2), (66, 70)), ((1, 7),))
    assert await subject.live(inbox) == list(range(3, 66))
    assert await subject.live(target) == list(range(1, 8))
    after = await subject.rows(target, ((1, 1),), Items.FLAGS | Items.INTERNALDATE | Items.ENVELOPE)
    assert after == before
    assert await subject.octets(target, 1) == message(300)


async def test_it_is_told_to_those_who_follow_either_mailbox(subject: Subject) -> None:
    """RFC 7162 §3.2: the expunge has a modseq of its own."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 3)
    here, there = [await subject.store.mailboxes.highest_modseq(each) for each in (inbox, target)]
    await subject.store.messages.move(inbox, ((2, 2),), "Target")
    assert (await subject.store.mailboxes.sync(inbox, here, 4)).expunged == ((2, 2),)
    assert (await subject.store.mailboxes.sync(target, there, 1)).added == ((1, 1),)
    told = await subject.store.changes.list(inbox.account_id, max(here, there), 10)
    assert [(change.mailbox_id, change.kind) for change in told] == [
        (target.mailbox_id, ChangeKind.ADDED),
        (inbox.mailbox_id, ChangeKind.EXPUNGED),
    ]


async def test_within_its_own_mailbox_it_gets_a_new_uid(subject: Subject) -> None:
    """RFC 6851 §3.3 does not forbid it."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 3)
    moved = await subject.store.messages.move(inbox, ((1, 2),), "INBOX")
    assert (moved.sources, moved.targets) == (((1, 2),), ((4, 5),))
    assert await subject.live(inbox) == [3, 4, 5]


async def test_uids_that_nobody_has_yet_stay_out_of_it(subject: Subject) -> None:
    """RFC 6851 §3.3: the copies get such uids, and are not what was moved."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    moved = await subject.store.messages.move(inbox, ((1, 500),), "INBOX")
    assert (moved.sources, moved.targets) == (((1, 2),), ((3, 4),))
    assert await subject.live(inbox) == [3, 4]


async def test_where_the_target_is_missing_nothing_goes(subject: Subject) -> None:
    """RFC 6851 §3.3."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    for key, name in ((inbox, "Nowhere"), (MailboxKey(inbox.account_id, 999), "INBOX")):
        with pytest.raises(MailboxNotFound):
            await subject.store.messages.move(key, EVERY, name)
    assert await subject.live(inbox) == [1, 2]


@pytest.mark.parametrize("uids", [(), ((5, 9),)])
async def test_nothing_to_move_moves_nothing(subject: Subject, uids: tuple[tuple[int, int], ...]) -> None:
    """No modseq, no row of the log."""
    inbox = await subject.inbox()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 1)
    before = [await subject.store.mailboxes.highest_modseq(each) for each in (inbox, target)]
    moved = await subject.store.messages.move(inbox, uids, "Target", uuid4())
    assert (moved.sources, moved.targets) == ((), ())
    assert [await subject.store.mailboxes.highest_modseq(each) for each in (inbox, target)] == before
    assert await subject.live(inbox) == [1]


async def test_a_full_account_may_move(subject: Subject) -> None:
    """RFC 9208 §4.3: what it uses stays the same."""
    inbox = await subject.inbox(Quota(bytes=30))
    target = await target_of(subject, inbox)
    for _ in range(3):
        await subject.append(inbox, octets=b"1234567890")
    before = await subject.store.accounts.usage(inbox.account_id)
    await subject.store.messages.move(inbox, EVERY, "Target")
    assert await subject.live(target) == [1, 2, 3]
    assert await subject.store.accounts.usage(inbox.account_id) == before


async def test_a_repeated_request_id_moves_nothing_more(subject: Subject) -> None:
    """And answers the same."""
    inbox, request_id = await subject.inbox(), uuid4()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 3)
    first = await subject.store.messages.move(inbox, ((1, 2),), "Target", request_id)
    assert await subject.store.messages.move(inbox, ((1, 2),), "Target", request_id) == first
    assert (await subject.live(inbox), await subject.live(target)) == ([3], [1, 2])


async def test_what_came_before_the_repetition_stays(subject: Subject) -> None:
    """A lost answer is asked for again with the same uids, which may name more by then."""
    inbox, request_id = await subject.inbox(), uuid4()
    target = await target_of(subject, inbox)
    await subject.fill(inbox, 2)
    first = await subject.store.messages.move(inbox, EVERY, "Target", request_id)
    await subject.fill(inbox, 1)
    assert await subject.store.messages.move(inbox, EVERY, "Target", request_id) == first
    assert (await subject.live(inbox), await subject.live(target)) == ([3], [1, 2])
