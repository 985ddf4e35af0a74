"""Store. RFC 9051 §6.4.6, RFC 7162 §3.1.3."""

from uuid import uuid4

import pytest

from services.mail.errors import InvalidArgument, LimitExceeded, MailboxNotFound
from services.mail.store.changes import ChangeKind
from services.mail.store.flags import MAX_KEYWORDS, flag_names
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange, Items, Stored
from tests.contract.subject import EVERY, Subject


def names(stored: Stored) -> list[set[str]]:
    """The flags of every row, by name."""
    return [set(flag_names(flags, stored.keywords)) for flags in stored.flags]


async def test_flags_are_added_removed_and_replaced(subject: Subject) -> None:
    """RFC 9051 §6.4.6; the answer has every asked message that lives."""
    inbox = await subject.inbox()
    await subject.append(inbox, "\\Seen")
    await subject.append(inbox, "k")
    store = subject.store.messages.store
    added = await store(inbox, EVERY, FlagChange.ADD, ["\\seen", "K", "new"])
    assert names(added) == [{"\\Seen", "k", "new"}, {"\\Seen", "k", "new"}]
    removed = await store(inbox, ((2, 2),), FlagChange.REMOVE, ["\\Seen", "unheard-of"])
    assert (list(removed.uids), names(removed)) == ([2], [{"k", "new"}])
    replaced = await store(inbox, EVERY, FlagChange.REPLACE, ["\\Deleted"])
    assert names(replaced) == [{"\\Deleted"}, {"\\Deleted"}]
    status = (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]
    assert (status.unseen, status.deleted) == (2, 2)
    cleared = await store(inbox, EVERY, FlagChange.REPLACE, [])
    assert names(cleared) == [set(), set()]


async def test_counts_follow_the_flags(subject: Subject) -> None:
    """RFC 9051 §6.3.11: UNSEEN and DELETED."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 3)
    for change, flags, expected in (
        (FlagChange.ADD, ["\\Seen"], (0, 0)),
        (FlagChange.ADD, ["\\Deleted"], (0, 3)),
        (FlagChange.REMOVE, ["\\Seen"], (3, 3)),
        (FlagChange.REPLACE, ["\\Seen"], (0, 0)),
    ):
        await subject.store.messages.store(inbox, EVERY, change, flags)
        status = (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]
        assert (status.unseen, status.deleted) == expected


async def test_one_store_is_one_modseq_for_what_changed(subject: Subject) -> None:
    """RFC 7162 §3.1: what did not change keeps its modseq."""
    inbox = await subject.inbox()
    await subject.append(inbox, "\\Seen")
    await subject.fill(inbox, 2)
    before = await subject.rows(inbox, EVERY, Items.MODSEQ)
    stored = await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Seen"])
    assert stored.changed == ((2, 3),)
    assert stored.previous_modseq == before.modseqs[2] < stored.highest_modseq
    assert list(stored.modseqs) == [before.modseqs[0], stored.highest_modseq, stored.highest_modseq]
    after = await subject.rows(inbox, EVERY, Items.FLAGS | Items.MODSEQ)
    assert (list(after.modseqs), list(after.flags)) == (list(stored.modseqs), list(stored.flags))


async def test_where_nothing_changes_nothing_is_written(subject: Subject) -> None:
    """Neither a modseq nor a row of the log."""
    inbox = await subject.inbox()
    await subject.append(inbox, "\\Seen")
    modseq = await subject.store.mailboxes.highest_modseq(inbox)
    for uids in (EVERY, (), ((7, 9),)):
        stored = await subject.store.messages.store(inbox, uids, FlagChange.ADD, ["\\Seen"])
        assert (stored.changed, stored.modified) == ((), ())
        assert stored.previous_modseq == stored.highest_modseq == modseq
    assert await subject.store.changes.list(inbox.account_id, modseq, 10) == []


async def test_what_changed_since_is_left_alone_and_named(subject: Subject) -> None:
    """RFC 7162 §3.1.3, UNCHANGEDSINCE."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 4)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.store.messages.store(inbox, ((2, 2),), FlagChange.ADD, ["\\Flagged"])
    stored = await subject.store.messages.store(inbox, ((1, 3),), FlagChange.ADD, ["\\Seen"], since)
    assert (stored.changed, stored.modified) == (((1, 1), (3, 3)), ((2, 2),))
    assert list(stored.uids) == [1, 2, 3]
    assert names(stored) == [{"\\Seen"}, {"\\Flagged"}, {"\\Seen"}]
    none = await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Draft"], 0)
    assert (none.changed, none.modified) == ((), ((1, 4),))
    assert none.previous_modseq == none.highest_modseq


async def test_a_conditional_store_that_would_change_nothing_still_names_conflicts(subject: Subject) -> None:
    """RFC 7162 §3.1.3: the test is on the modseq, not on the flags."""
    inbox = await subject.inbox()
    await subject.append(inbox, "\\Seen")
    stored = await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Seen"], 0)
    assert stored.modified == ((1, 1),)


async def test_uids_that_do_not_live_are_passed_over(subject: Subject) -> None:
    """RFC 9051 §6.4.9; blocks of 64 uids show nowhere."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 66)
    await subject.store.messages.expunge(inbox, ((2, 63),), even_undeleted=True)
    stored = await subject.store.messages.store(inbox, ((1, 65), (70, 500)), FlagChange.ADD, ["\\Seen"])
    assert list(stored.uids) == [1, 64, 65]
    assert stored.changed == ((1, 1), (64, 65))


async def test_the_log_names_whole_blocks(subject: Subject) -> None:
    """FLAGS rounds to blocks of 64; readers keep what has a greater modseq."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 66)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    await subject.store.messages.store(inbox, ((66, 66),), FlagChange.ADD, ["\\Seen"])
    log = await subject.store.changes.list(inbox.account_id, since, 10)
    assert [(each.kind, each.mailbox_id, each.uids) for each in log] == [
        (ChangeKind.FLAGS, inbox.mailbox_id, ((65, 128),))
    ]


async def test_more_keywords_than_fit_in_a_word_work_like_the_others(subject: Subject) -> None:
    """Beyond 58: added, removed, replaced, copied and told."""
    inbox = await subject.inbox()
    keywords = [f"k{number}" for number in range(75)]
    await subject.append(inbox, *keywords)
    await subject.append(inbox, "k74")
    store = subject.store.messages.store
    stored = await store(inbox, EVERY, FlagChange.ADD, ["k60", "\\Seen"])
    assert names(stored) == [{*keywords, "\\Seen"}, {"k60", "k74", "\\Seen"}]
    stored = await store(inbox, EVERY, FlagChange.REMOVE, ["k74", "k3"])
    assert names(stored) == [{*keywords, "\\Seen"} - {"k74", "k3"}, {"k60", "\\Seen"}]
    assert (await store(inbox, EVERY, FlagChange.ADD, ["k60"])).changed == ()
    await subject.store.mailboxes.create(inbox.account_id, "Other")
    copied = await subject.store.messages.copy(inbox, ((2, 2),), "Other")
    assert copied.targets == ((1, 1),)
    other = (await subject.store.mailboxes.status(inbox.account_id, "Other"))[0].key
    page = await subject.rows(other, EVERY, Items.FLAGS)
    assert set(flag_names(page.flags[0], page.keywords)) == {"k60", "\\Seen"}
    stored = await store(inbox, EVERY, FlagChange.REPLACE, ["k61"])
    assert names(stored) == [{"k61"}, {"k61"}]
    delta = await subject.store.mailboxes.sync(inbox, 0, 3)
    assert [set(flag_names(flags, delta.keywords)) for flags in delta.flags] == [{"k61"}, {"k61"}]


async def test_an_account_has_a_bounded_number_of_keywords(subject: Subject) -> None:
    """LimitExceeded, and those that are there go on working."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 1)
    store = subject.store.messages.store
    for start in range(0, MAX_KEYWORDS, 200):
        await store(inbox, EVERY, FlagChange.REPLACE, [f"k{number}" for number in range(start, start + 200)])
    with pytest.raises(LimitExceeded):
        await store(inbox, EVERY, FlagChange.ADD, ["one-more"])
    with pytest.raises(LimitExceeded):
        await subject.append(inbox, "one-more")
    assert names(await store(inbox, EVERY, FlagChange.REPLACE, ["k999"])) == [{"k999"}]
    assert names(await store(inbox, EVERY, FlagChange.REMOVE, ["k999", "one-more"])) == [set()]


async def test_a_keyword_that_is_only_taken_away_is_named_from_then_on(subject: Subject) -> None:
    """Nothing changes, and a client that asks for it can be told that the mailbox may have it. RFC 9051 §7.3.5."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 1)
    stored = await subject.store.messages.store(inbox, EVERY, FlagChange.REMOVE, ["later"])
    assert (stored.changed, names(stored), list(stored.keywords)) == ((), [set()], ["later"])


@pytest.mark.parametrize("flag", ["\\Recent", "\\Nonsense", "a b"])
@pytest.mark.parametrize("change", FlagChange)
async def test_what_is_no_flag_is_refused(subject: Subject, flag: str, change: FlagChange) -> None:
    """RFC 9051 §2.3.2."""
    inbox = await subject.inbox()
    with pytest.raises(InvalidArgument):
        await subject.store.messages.store(inbox, EVERY, change, [flag])


async def test_no_such_mailbox(subject: Subject) -> None:
    """Also with nothing asked."""
    inbox = await subject.inbox()
    key = MailboxKey(inbox.account_id, 999)
    for uids in (EVERY, ((1, 1),), ()):
        with pytest.raises(MailboxNotFound):
            await subject.store.messages.store(key, uids, FlagChange.ADD, ["\\Seen"])


async def test_a_repeated_request_id_changes_nothing(subject: Subject) -> None:
    """A conditional store that is sent again does not trip over itself."""
    inbox, request_id = await subject.inbox(), uuid4()
    await subject.fill(inbox, 2)
    since = await subject.store.mailboxes.highest_modseq(inbox)
    store = subject.store.messages.store
    first = await store(inbox, EVERY, FlagChange.ADD, ["\\Seen"], since, request_id)
    again = await store(inbox, EVERY, FlagChange.ADD, ["\\Seen"], since, request_id)
    assert (again.changed, again.modified) == (first.changed, first.modified) == (((1, 2),), ())
    assert await subject.store.mailboxes.highest_modseq(inbox) == first.highest_modseq == again.highest_modseq


async def test_a_repeated_change_leaves_alone_what_another_did_meanwhile(subject: Subject) -> None:
    """Sent again after a lost answer, it would set a flag that another session has just removed."""
    inbox, request_id = await subject.inbox(), uuid4()
    await subject.fill(inbox, 2)
    store = subject.store.messages.store
    first = await store(inbox, EVERY, FlagChange.ADD, ["\\Flagged"], request_id=request_id)
    await store(inbox, ((1, 1),), FlagChange.REMOVE, ["\\Flagged"])
    again = await store(inbox, EVERY, FlagChange.ADD, ["\\Flagged"], request_id=request_id)
    assert (again.changed, again.highest_modseq) == (first.changed, first.highest_modseq)
    page = await subject.rows(inbox, EVERY, Items.FLAGS)
    assert [flag_names(flags, page.keywords) for flags in page.flags] == [[], ["\\Flagged"]]
