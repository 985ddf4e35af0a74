"""What happened since: the deltas that keep a view true. RFC 7162 §3.2, RFC 9051 §7."""

import pytest

from services.mail.errors import BehindFloor, MailboxNotFound
from services.mail.store.flags import SEEN, flag_names
from services.mail.store.mailboxes import Delta, MailboxKey
from services.mail.store.messages import FlagChange
from tests.contract.subject import EVERY, Subject


def changed(delta: Delta) -> dict[int, set[str]]:
    """The flags of what changed, by uid."""
    assert len(delta.uids) == len(delta.flags) == len(delta.modseqs)
    assert list(delta.uids) == sorted(delta.uids)
    rows = zip(delta.uids, delta.flags, strict=True)
    return {uid: set(flag_names(flags, delta.keywords)) for uid, flags in rows}


async def test_nothing_happened(subject: Subject) -> None:
    """An empty delta, with the counters."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 3)
    status = (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]
    delta = await subject.store.mailboxes.sync(inbox, status.highest_modseq, 4)
    assert delta.status == status
    assert (delta.added, delta.expunged, changed(delta)) == ((), (), {})


async def test_additions_expunges_and_flags_are_told_apart(subject: Subject) -> None:
    """Additions from the asked uid on; the rest below it."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 70)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.store.messages.store(inbox, ((3, 4), (66, 66)), FlagChange.ADD, ["\\Seen", "new"])
    await subject.store.messages.expunge(inbox, ((4, 5), (70, 70)), even_undeleted=True)
    await subject.fill(inbox, 2)
    delta = await subject.store.mailboxes.sync(inbox, since, 71)
    assert delta.added == ((71, 72),)
    assert delta.expunged == ((4, 5), (70, 70))
    assert changed(delta) == {3: {"\\Seen", "new"}, 66: {"\\Seen", "new"}}
    assert all(modseq > since for modseq in delta.modseqs)
    assert delta.status == (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]


async def test_what_came_and_went_meanwhile_is_not_told(subject: Subject) -> None:
    """A session that never saw it need not hear of it."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.fill(inbox, 2)
    await subject.store.messages.expunge(inbox, ((2, 3),), even_undeleted=True)
    delta = await subject.store.mailboxes.sync(inbox, since, 3)
    assert (delta.added, delta.expunged) == (((4, 4),), ((2, 2),))
    assert changed(delta) == {}


async def test_flags_of_additions_come_with_the_additions(subject: Subject) -> None:
    """Neighbours in a block of 64 uids do not come along."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 3)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.fill(inbox, 1)
    await subject.store.messages.store(inbox, ((2, 2), (4, 4)), FlagChange.ADD, ["\\Seen"])
    delta = await subject.store.mailboxes.sync(inbox, since, 4)
    assert delta.added == ((4, 4),)
    assert changed(delta) == {2: {"\\Seen"}}


async def test_marks_may_stand_apart(subject: Subject) -> None:
    """Additions were told, flags and expunges not yet (RFC 9051 §7.5.1)."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.fill(inbox, 3)
    await subject.store.messages.expunge(inbox, ((1, 1), (4, 4)), even_undeleted=True)
    delta = await subject.store.mailboxes.sync(inbox, since, 5)
    assert (delta.added, delta.expunged) == (((5, 5),), ((1, 1), (4, 4)))
    assert set(changed(delta)) <= {3}
    since = delta.status.highest_modseq
    await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Seen"])
    delta = await subject.store.mailboxes.sync(inbox, since, 6)
    assert (list(delta.uids), set(delta.flags)) == ([2, 3, 5], {SEEN})


async def test_from_nothing_everything_is_an_addition(subject: Subject) -> None:
    """uid_next 1."""
    inbox = await subject.inbox()
    assert (await subject.store.mailboxes.sync(inbox, 1, 1)).added == ()
    await subject.fill(inbox, 3)
    await subject.store.messages.expunge(inbox, ((2, 2),), even_undeleted=True)
    delta = await subject.store.mailboxes.sync(inbox, await subject.store.mailboxes.highest_modseq(inbox), 1)
    assert (delta.added, delta.expunged, changed(delta)) == (((1, 1), (3, 3)), (), {})


async def test_another_mailboxs_changes_are_its_own(subject: Subject) -> None:
    """The log is the account's, the delta a mailbox's."""
    inbox = await subject.inbox()
    other = (await subject.store.mailboxes.create(inbox.account_id, "Other")).key
    await subject.fill(inbox, 2)
    await subject.fill(other, 2)
    since = await subject.store.mailboxes.highest_modseq(other)
    await subject.store.messages.store(other, EVERY, FlagChange.ADD, ["\\Seen"])
    await subject.store.messages.expunge(other, ((1, 1),), even_undeleted=True)
    delta = await subject.store.mailboxes.sync(inbox, since, 3)
    assert (delta.added, delta.expunged, changed(delta)) == ((), (), {})


async def test_behind_the_floor_is_said(subject: Subject) -> None:
    """BehindFloor for less than the floor, and an answer at it."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    await subject.trim(inbox.account_id)
    floor = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.fill(inbox, 1)
    for since in (0, floor - 1):
        with pytest.raises(BehindFloor):
            await subject.store.mailboxes.sync(inbox, since, 3)
    assert (await subject.store.mailboxes.sync(inbox, floor, 3)).added == ((3, 3),)


async def test_no_such_mailbox(subject: Subject) -> None:
    """Neither number nor account."""
    inbox = await subject.inbox()
    for key in (MailboxKey(inbox.account_id, 999), MailboxKey(2**40, 1)):
        with pytest.raises(MailboxNotFound):
            await subject.store.mailboxes.sync(key, 1, 1)
        with pytest.raises(MailboxNotFound):
            await subject.store.mailboxes.highest_modseq(key)
