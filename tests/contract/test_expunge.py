"""Expunge. RFC 9051 §6.4.3, RFC 4315 §2.1, RFC 1939 §6."""

from uuid import uuid4

import pytest

from services.mail.errors import LockLost, MailboxNotFound
from services.mail.store.changes import ChangeKind
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange
from services.mail.store.sessions import LEASE_SECONDS
from tests.contract.subject import EVERY, Subject


async def test_what_is_marked_goes(subject: Subject) -> None:
    """RFC 9051 §6.4.3: under one modseq, exact in the log."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 70)
    marked = ((1, 1), (64, 65), (70, 70))
    before = (await subject.store.messages.store(inbox, marked, FlagChange.ADD, ["\\Deleted"])).highest_modseq
    gone = await subject.store.messages.expunge(inbox)
    assert (gone.uids, gone.previous_modseq) == (marked, before)
    assert gone.highest_modseq == await subject.store.mailboxes.highest_modseq(inbox) > before
    assert await subject.live(inbox) == [uid for uid in range(1, 71) if uid not in {1, 64, 65, 70}]
    log = await subject.store.changes.list(inbox.account_id, before, 10)
    assert [(each.kind, each.uids) for each in log] == [(ChangeKind.EXPUNGED, marked)]


async def test_only_named_uids_go(subject: Subject) -> None:
    """RFC 4315 §2.1: UID EXPUNGE; marked and named, both."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 4)
    await subject.store.messages.store(inbox, ((2, 4),), FlagChange.ADD, ["\\Deleted"])
    gone = await subject.store.messages.expunge(inbox, ((1, 2), (4, 900)))
    assert gone.uids == ((2, 2), (4, 4))
    assert await subject.live(inbox) == [1, 3]


@pytest.mark.parametrize("uids", [(), ((1, 1),), ((9, 9),), None])
async def test_where_nothing_goes_nothing_is_written(
    subject: Subject, uids: tuple[tuple[int, int], ...] | None
) -> None:
    """Modseqs are equal, before and after."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    modseq = await subject.store.mailboxes.highest_modseq(inbox)
    gone = await subject.store.messages.expunge(inbox, uids)
    assert (gone.uids, gone.previous_modseq, gone.highest_modseq) == ((), modseq, modseq)
    assert await subject.store.changes.list(inbox.account_id, modseq, 10) == []


async def test_a_maildrop_drops_what_it_names(subject: Subject) -> None:
    """RFC 1939 §6: whether marked or not, while the lock holds."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 4)
    lock = await subject.store.sessions.lock_maildrop(inbox.account_id)
    gone = await subject.store.messages.expunge(inbox, ((2, 3),), even_undeleted=True, maildrop=lock)
    assert gone.uids == ((2, 3),)
    assert (await subject.store.messages.expunge(inbox, (), even_undeleted=True, maildrop=lock)).uids == ()
    assert await subject.live(inbox) == [1, 4]


async def test_a_lost_lock_drops_nothing(subject: Subject) -> None:
    """RFC 1939 §4: run out, released, or another's by now."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    released = await subject.store.sessions.lock_maildrop(inbox.account_id)
    await subject.store.sessions.release_maildrop(released)
    old = await subject.store.sessions.lock_maildrop(inbox.account_id)
    await subject.advance(LEASE_SECONDS + 1)
    for lock in (released, old):
        with pytest.raises(LockLost):
            await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True, maildrop=lock)
    await subject.store.sessions.lock_maildrop(inbox.account_id)
    with pytest.raises(LockLost):
        await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True, maildrop=old)
    assert await subject.live(inbox) == [1, 2]


async def test_uids_are_never_used_again(subject: Subject) -> None:
    """RFC 9051 §2.3.1.1: also the last one."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True)
    assert await subject.append(inbox) == 3


async def test_no_such_mailbox(subject: Subject) -> None:
    """Whatever is asked."""
    inbox = await subject.inbox()
    for uids in (None, (), EVERY):
        with pytest.raises(MailboxNotFound):
            await subject.store.messages.expunge(MailboxKey(inbox.account_id, 999), uids)


async def test_a_repeated_request_id_expunges_nothing_more(subject: Subject) -> None:
    """What got \\Deleted since the first time stays, and the answer is the first one's."""
    inbox, request_id = await subject.inbox(), uuid4()
    for flags in (["\\Deleted"], [], ["\\Deleted"]):
        await subject.append(inbox, *flags)
    first = await subject.store.messages.expunge(inbox, EVERY, request_id=request_id)
    await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Deleted"])
    assert await subject.store.messages.expunge(inbox, EVERY, request_id=request_id) == first
    assert (first.uids, await subject.live(inbox)) == (((1, 1), (3, 3)), [2])
