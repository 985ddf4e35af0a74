"""Mailboxes: their names, their counters, who may see what is recent. RFC 9051 §6.3."""

from uuid import uuid4

import pytest

from services.mail.errors import (
    HasChildren,
    InvalidName,
    MailboxExists,
    MailboxNotFound,
    SpecialUseRefused,
)
from services.mail.store.changes import ChangeKind
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange, Items
from services.mail.store.uids import from_masks
from tests.contract.subject import DEFAULT, EVERY, Subject


async def listed(subject: Subject, account_id: int) -> list[str]:
    """Names in the order they are told, but for those that every account has."""
    listing = await subject.store.mailboxes.list(account_id)
    names = [mailbox.name for mailbox in listing.mailboxes]
    assert set(DEFAULT) <= set(names)
    return [name for name in names if name not in DEFAULT]


async def test_a_new_account_has_an_inbox_and_a_folder_for_each_use(subject: Subject) -> None:
    """RFC 9051 §5.1, RFC 6154 §2: all of them empty and subscribed."""
    account = await subject.account()
    listing = await subject.store.mailboxes.list(account.account_id, with_statuses=True)
    assert [(mailbox.name, mailbox.special_use) for mailbox in listing.mailboxes] == [
        ("Archive", "\\Archive"),
        ("Drafts", "\\Drafts"),
        ("INBOX", ""),
        ("Junk", "\\Junk"),
        ("Sent", "\\Sent"),
        ("Trash", "\\Trash"),
    ]
    assert list(listing.subscribed) == DEFAULT
    assert len({mailbox.uid_validity for mailbox in listing.mailboxes}) == 6
    assert all((status.uid_next, status.messages) == (1, 0) for status in listing.statuses)
    _, status = await subject.store.mailboxes.status(account.account_id, "INBOX")
    assert (status.uid_next, status.first_recent, status.messages, status.size) == (1, 1, 0, 0)
    assert (status.unseen, status.deleted) == (0, 0)
    assert status.highest_modseq >= 1, "RFC 7162 §7: a modseq is never 0"


async def test_missing_superiors_are_made_too(subject: Subject) -> None:
    """RFC 9051 §6.3.4; each with an identity of its own."""
    account_id = (await subject.account()).account_id
    await subject.store.mailboxes.delete(account_id, "Archive")
    made = await subject.store.mailboxes.create(account_id, "a/b/c/", "\\Archive")
    assert (made.name, made.special_use) == ("a/b/c", "\\Archive")
    listing = await subject.store.mailboxes.list(account_id)
    assert [mailbox.name for mailbox in listing.mailboxes] == [*DEFAULT[1:], "a", "a/b", "a/b/c"]
    assert listing.mailboxes[7] == made
    assert listing.mailboxes[6].special_use == ""
    for identity in ("key", "uid_validity", "object_id"):
        values = {getattr(mailbox, identity) for mailbox in listing.mailboxes}
        assert len(values) == 8, identity


async def test_a_listing_begins_where_asked_and_counts(subject: Subject) -> None:
    """RFC 5819 §2; by code point and octet for octet, subscriptions too."""
    account_id = (await subject.account()).account_id
    mailboxes = subject.store.mailboxes
    for name in ("a/b", "a", "ab", "A/b", "a/\U0010ffff", "a\ud7ff/x", "\U0010ffff/z"):
        if name != "a":
            await mailboxes.create(account_id, name)
        await mailboxes.subscribe(account_id, name, True)
    await subject.fill((await mailboxes.status(account_id, "a/b"))[0].key, 3)
    for prefix, names, subscribed in (
        ("a/", ["a/b", "a/\U0010ffff"], ["a/b", "a/\U0010ffff"]),
        ("a", ["a", "a/b", "a/\U0010ffff", "ab", "a\ud7ff", "a\ud7ff/x"], 5),
        ("a\ud7ff", ["a\ud7ff", "a\ud7ff/x"], ["a\ud7ff/x"]),
        ("\U0010ffff", ["\U0010ffff", "\U0010ffff/z"], ["\U0010ffff/z"]),
        ("\U0010ffff/", ["\U0010ffff/z"], ["\U0010ffff/z"]),
        ("Sen", ["Sent"], ["Sent"]),
        ("sent", [], []),
        ("%", [], []),
    ):
        listing = await mailboxes.list(account_id, prefix, with_statuses=True)
        assert [mailbox.name for mailbox in listing.mailboxes] == names, prefix
        assert list(listing.subscribed) == subscribed or len(listing.subscribed) == subscribed, prefix
        for mailbox, status in zip(listing.mailboxes, listing.statuses, strict=True):
            assert (mailbox, status) == await mailboxes.status(account_id, mailbox.name)
    assert not (await mailboxes.list(account_id)).statuses


async def test_a_long_listing_comes_whole(subject: Subject) -> None:
    """More names than one part of an answer holds."""
    account_id = (await subject.account()).account_id
    for number in range(0, 1200, 40):
        await subject.store.mailboxes.create(account_id, "/".join([f"n{number:04}", *map(str, range(39))]))
    listing = await subject.store.mailboxes.list(account_id, with_statuses=True)
    names = [mailbox.name for mailbox in listing.mailboxes]
    assert len(names) == len(listing.statuses) == 1206
    assert names == sorted(names)


@pytest.mark.parametrize(("made", "asked"), [("inbox/x", "INBOX/x"), ("Cafe\u0301", "Caf\xe9"), ("W", "W/")])
async def test_two_spellings_are_one_name(subject: Subject, made: str, asked: str) -> None:
    """RFC 9051 §5.1; attacks: NFC and NFD twins, INBOX in any case."""
    account_id = (await subject.account()).account_id
    mailbox = await subject.store.mailboxes.create(account_id, made)
    assert (await subject.store.mailboxes.status(account_id, asked))[0] == mailbox
    with pytest.raises(MailboxExists):
        await subject.store.mailboxes.create(account_id, asked)


@pytest.mark.parametrize("name", ["", "a//b", "../a", "a*", "a\0", "x" * 1001])
async def test_what_cannot_be_a_name_is_refused_everywhere(subject: Subject, name: str) -> None:
    """InvalidName."""
    account_id = (await subject.account()).account_id
    mailboxes = subject.store.mailboxes
    for refused in (
        mailboxes.create(account_id, name),
        mailboxes.rename(account_id, "INBOX", name),
        mailboxes.subscribe(account_id, name, True),
        mailboxes.delete(account_id, name),
    ):
        with pytest.raises(InvalidName):
            await refused


async def test_a_name_is_used_once(subject: Subject) -> None:
    """MailboxExists, for INBOX in any case as well."""
    account_id = (await subject.account()).account_id
    await subject.store.mailboxes.create(account_id, "a")
    for name in ("a", "INBOX", "Inbox"):
        with pytest.raises(MailboxExists):
            await subject.store.mailboxes.create(account_id, name)


async def test_a_repeated_request_id_makes_one_mailbox(subject: Subject) -> None:
    """And answers it again: that mailbox, though another has its name by now."""
    account_id, request_id = (await subject.account()).account_id, uuid4()
    mailboxes = subject.store.mailboxes
    await mailboxes.delete(account_id, "Sent")
    first = await mailboxes.create(account_id, "a/b", "\\Sent", request_id)
    assert await mailboxes.create(account_id, "a/b", "\\Sent", request_id) == first
    assert [each.name for each in (await mailboxes.list(account_id, "a")).mailboxes] == ["a", "a/b"]
    await mailboxes.rename(account_id, "a/b", "c")
    other = await mailboxes.create(account_id, "a/b")
    again = await mailboxes.create(account_id, "a/b", "\\Sent", request_id)
    assert (again.key, again.name, again.uid_validity) == (first.key, "c", first.uid_validity)
    assert other.key != first.key
    await mailboxes.delete(account_id, "c")
    with pytest.raises(MailboxNotFound):
        await mailboxes.create(account_id, "a/b", "\\Sent", request_id)


async def test_a_name_that_is_used_again_has_a_greater_uid_validity(subject: Subject) -> None:
    """RFC 9051 §2.3.1.1; also within one second, and its number is another."""
    account_id = (await subject.account()).account_id
    seen = []
    for _ in range(3):
        mailbox = await subject.store.mailboxes.create(account_id, "again")
        await subject.append(mailbox.key)
        seen.append(mailbox)
        assert await subject.store.mailboxes.delete(account_id, "again") == mailbox.key
    assert seen[0].uid_validity < seen[1].uid_validity < seen[2].uid_validity
    assert len({mailbox.key for mailbox in seen}) == len({mailbox.object_id for mailbox in seen}) == 3


async def test_a_deleted_mailbox_is_gone_with_its_messages(subject: Subject) -> None:
    """RFC 9051 §6.3.5; what it held no longer counts against the quota."""
    inbox = await subject.inbox()
    key = (await subject.store.mailboxes.create(inbox.account_id, "a")).key
    await subject.fill(key, 3)
    await subject.append(inbox, octets=b"12345")
    await subject.store.mailboxes.delete(inbox.account_id, "a")
    usage = await subject.store.accounts.usage(inbox.account_id)
    assert (usage.bytes, usage.messages) == (5, 1)
    for asked in (
        subject.store.mailboxes.status(inbox.account_id, "a"),
        subject.store.mailboxes.open(inbox.account_id, "a", claims_recent=True),
        subject.store.mailboxes.delete(inbox.account_id, "a"),
        subject.store.mailboxes.highest_modseq(key),
        subject.store.mailboxes.sync(key, 1, 1),
        subject.store.mailboxes.claim_recent(key, 1),
        subject.store.messages.append(key, b"x", 1),
        subject.store.messages.copy(key, EVERY, "INBOX"),
        subject.store.messages.expunge(key),
        subject.rows(key, EVERY, Items.FLAGS),
    ):
        with pytest.raises(MailboxNotFound):
            await asked


async def test_what_has_inferiors_stays_and_so_does_inbox(subject: Subject) -> None:
    """RFC 9051 §6.3.5."""
    account_id = (await subject.account()).account_id
    await subject.store.mailboxes.create(account_id, "a/b")
    await subject.store.mailboxes.create(account_id, "ab")
    with pytest.raises(HasChildren):
        await subject.store.mailboxes.delete(account_id, "a")
    for name in ("INBOX", "inbox"):
        with pytest.raises(InvalidName):
            await subject.store.mailboxes.delete(account_id, name)
    await subject.store.mailboxes.delete(account_id, "a/b")
    await subject.store.mailboxes.delete(account_id, "a")
    assert await listed(subject, account_id) == ["ab"]


async def test_a_subscription_outlives_its_mailbox(subject: Subject) -> None:
    """RFC 9051 §6.3.7: a name is subscribed, whether it exists or not."""
    account_id = (await subject.account()).account_id
    mailboxes = subject.store.mailboxes
    for name in DEFAULT:
        await mailboxes.subscribe(account_id, name, False)
    await mailboxes.create(account_id, "a")
    for name in ("a", "never", "a", "inbox", "Cafe\u0301"):
        await mailboxes.subscribe(account_id, name, True)
    await mailboxes.delete(account_id, "a")
    assert list((await mailboxes.list(account_id)).subscribed) == ["Caf\xe9", "INBOX", "a", "never"]
    for name in ("never", "Caf\xe9", "unknown"):
        await mailboxes.subscribe(account_id, name, False)
    assert list((await mailboxes.list(account_id)).subscribed) == ["INBOX", "a"]


async def test_a_mailbox_is_renamed_with_its_inferiors(subject: Subject) -> None:
    """RFC 9051 §6.3.6: what lies below moves along, what only looks alike does not; identities stay (RFC 8474 §4)."""
    account_id = (await subject.account()).account_id
    mailboxes = subject.store.mailboxes
    inner = await mailboxes.create(account_id, "a/b/c")
    await mailboxes.create(account_id, "a_b")
    await mailboxes.create(account_id, "ab")
    await subject.append(inner.key)
    await mailboxes.rename(account_id, "a", "x/y")
    assert await listed(subject, account_id) == ["a_b", "ab", "x", "x/y", "x/y/b", "x/y/b/c"]
    moved, status = await mailboxes.status(account_id, "x/y/b/c")
    assert (moved.key, moved.object_id, status.messages) == (inner.key, inner.object_id, 1)
    await mailboxes.rename(account_id, "x/y/b", "b")
    assert await listed(subject, account_id) == ["a_b", "ab", "b", "b/c", "x", "x/y"]


async def test_renaming_inbox_moves_its_messages_and_leaves_it(subject: Subject) -> None:
    """RFC 9051 §6.3.6: with flags, its inferiors stay, and what was recent is recent there."""
    inbox = await subject.inbox()
    mailboxes = subject.store.mailboxes
    await mailboxes.create(inbox.account_id, "INBOX/below")
    await subject.append(inbox, "\\Seen", "kept", octets=b"one")
    await subject.append(inbox, octets=b"two")
    await subject.store.messages.expunge(inbox, ((2, 2),), even_undeleted=True)
    await subject.append(inbox, octets=b"three")
    await mailboxes.rename(inbox.account_id, "inbox", "old/mail")
    assert await listed(subject, inbox.account_id) == ["INBOX/below", "old", "old/mail"]
    old, status = await mailboxes.status(inbox.account_id, "old/mail")
    assert (status.messages, status.unseen, status.size, status.first_recent) == (2, 1, 8, 1)
    assert [await subject.octets(old.key, uid) for uid in await subject.live(old.key)] == [b"one", b"three"]
    emptied, status = await mailboxes.status(inbox.account_id, "INBOX")
    assert (emptied.key, status.messages, status.uid_next) == (inbox, 0, 4)
    usage = await subject.store.accounts.usage(inbox.account_id)
    assert (usage.bytes, usage.messages) == (8, 2)
    with pytest.raises(MailboxExists):
        await mailboxes.rename(inbox.account_id, "INBOX", "old/mail")


async def test_a_special_use_is_known_and_has_one_mailbox(subject: Subject) -> None:
    """RFC 6154 §3: where it cannot be given, nothing is made; it stays with its mailbox and goes with it."""
    account_id = (await subject.account()).account_id
    mailboxes = subject.store.mailboxes
    for use in ("\\Sent", "\\All", "\\Flagged", "\\Important things", "Sent", "\\sent"):
        with pytest.raises(SpecialUseRefused):
            await mailboxes.create(account_id, "s/t", use)
    with pytest.raises(MailboxExists):
        await mailboxes.create(account_id, "Sent", "\\Sent")
    assert await listed(subject, account_id) == []
    await mailboxes.rename(account_id, "Sent", "Sent Items")
    assert (await mailboxes.status(account_id, "Sent Items"))[0].special_use == "\\Sent"
    await mailboxes.delete(account_id, "Sent Items")
    assert (await mailboxes.create(account_id, "s", "\\Sent")).special_use == "\\Sent"
    assert (await mailboxes.create(account_id, "Sent")).special_use == ""


async def test_a_rename_that_cannot_be_changes_nothing(subject: Subject) -> None:
    """RFC 9051 §6.3.6."""
    account_id = (await subject.account()).account_id
    mailboxes = subject.store.mailboxes
    await mailboxes.create(account_id, "a/b")
    await mailboxes.create(account_id, "c")
    before = await listed(subject, account_id)
    for name, new_name, refusal in (
        ("nowhere", "d", MailboxNotFound),
        ("a", "c", MailboxExists),
        ("c", "INBOX", MailboxExists),
        ("c", "inbox", MailboxExists),
        ("c", "a/b", MailboxExists),
        ("a", "a/b/d", InvalidName),
        ("a", "/".join(["x" * 249] * 4), InvalidName),
    ):
        with pytest.raises(refusal):
            await mailboxes.rename(account_id, name, new_name)
    assert await listed(subject, account_id) == before


async def test_what_was_done_to_mailboxes_is_in_the_log(subject: Subject) -> None:
    """One modseq for each write; folder kinds carry no uids."""
    account_id = (await subject.account()).account_id
    log = await subject.store.changes.list(account_id, 0, 10)
    assert {(each.kind, each.modseq) for each in log} == {(ChangeKind.MAILBOX_CREATED, 1)}
    assert len(log) == 6
    since = log[-1].modseq
    mailbox = await subject.store.mailboxes.create(account_id, "a/b")
    await subject.store.mailboxes.rename(account_id, "a/b", "c")
    await subject.store.mailboxes.delete(account_id, "c")
    log = await subject.store.changes.list(account_id, since, 100)
    assert [each.kind for each in log if each.mailbox_id == mailbox.key.mailbox_id] == [
        ChangeKind.MAILBOX_CREATED,
        ChangeKind.MAILBOX_RENAMED,
        ChangeKind.MAILBOX_DELETED,
    ]
    assert len({each.modseq for each in log}) == 3
    assert all(each.uids == () for each in log)


async def test_a_status_counts_what_is_there(subject: Subject) -> None:
    """RFC 9051 §6.3.11: SIZE and the rest, of one moment."""
    inbox = await subject.inbox()
    await subject.append(inbox, "\\Seen", octets=b"123")
    await subject.append(inbox, "\\Deleted", octets=b"4567")
    await subject.append(inbox, octets=b"")
    status = (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]
    assert (status.messages, status.unseen, status.deleted, status.size) == (3, 2, 1, 7)
    await subject.store.messages.expunge(inbox)
    status = (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1]
    assert (status.messages, status.unseen, status.deleted, status.size) == (2, 1, 0, 3)
    assert (status.uid_next, status.first_recent) == (4, 1)


async def test_opening_brings_one_snapshot(subject: Subject) -> None:
    """RFC 9051 §6.3.2: counters, live uids and keywords."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 130)
    await subject.append(inbox, "$Later")
    await subject.store.messages.expunge(inbox, ((2, 64), (66, 66), (131, 131)), even_undeleted=True)
    opened = await subject.store.mailboxes.open(inbox.account_id, "inbox", claims_recent=False)
    mailbox, status = await subject.store.mailboxes.status(inbox.account_id, "INBOX")
    assert (opened.mailbox, opened.status) == (mailbox, status)
    assert from_masks(opened.blocks, opened.masks) == ((1, 1), (65, 65), (67, 130))
    assert list(opened.keywords) == ["$Later"]
    with pytest.raises(MailboxNotFound):
        await subject.store.mailboxes.open(inbox.account_id, "nowhere", claims_recent=False)


async def test_the_first_message_that_was_not_seen_is_known(subject: Subject) -> None:
    """RFC 3501 §6.3.1, UNSEEN; what went does not count."""
    inbox = await subject.inbox()

    async def first() -> int:
        return (await subject.store.mailboxes.open(inbox.account_id, "INBOX", False)).first_unseen

    assert await first() == 0
    for flags in (["\\Seen"], [], ["\\Seen"], ["\\Flagged"]):
        await subject.append(inbox, *flags)
    assert await first() == 2
    await subject.store.messages.expunge(inbox, ((2, 2),), even_undeleted=True)
    assert await first() == 4
    await subject.store.messages.store(inbox, EVERY, FlagChange.ADD, ["\\Seen"])
    assert await first() == 0


async def test_what_is_recent_is_told_to_one_session(subject: Subject) -> None:
    """RFC 3501 §2.3.2: SELECT takes it, EXAMINE does not."""
    inbox = await subject.inbox()
    open_inbox = subject.store.mailboxes.open
    await subject.fill(inbox, 3)
    assert (await open_inbox(inbox.account_id, "INBOX", claims_recent=False)).first_recent == 1
    assert (await open_inbox(inbox.account_id, "INBOX", claims_recent=True)).first_recent == 1
    assert (await open_inbox(inbox.account_id, "INBOX", claims_recent=True)).first_recent == 4
    await subject.fill(inbox, 1)
    assert (await open_inbox(inbox.account_id, "INBOX", claims_recent=False)).first_recent == 4
    assert (await open_inbox(inbox.account_id, "INBOX", claims_recent=True)).first_recent == 4


async def test_an_open_session_claims_what_came_meanwhile(subject: Subject) -> None:
    """Once: the second to ask gets none."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 2)
    await subject.store.mailboxes.open(inbox.account_id, "INBOX", claims_recent=True)
    await subject.fill(inbox, 3)
    claim = subject.store.mailboxes.claim_recent
    assert await claim(inbox, 5) == 3
    assert await claim(inbox, 5) == 5
    assert await claim(inbox, 6) == 5
    assert await claim(inbox, 6) == 6
    assert (await subject.store.mailboxes.status(inbox.account_id, "INBOX"))[1].first_recent == 6
    with pytest.raises(MailboxNotFound):
        await claim(MailboxKey(inbox.account_id, 999), 1)
