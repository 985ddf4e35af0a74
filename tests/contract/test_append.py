"""Append, and what every write keeps to: octets exact, durable, once. RFC 9051 §6.3.12."""

from uuid import uuid4

import pytest

from services.mail.errors import (
    InvalidArgument,
    InvalidMessage,
    MailboxNotFound,
    MessageTooLarge,
    OverQuota,
)
from services.mail.store.accounts import Quota
from services.mail.store.flags import flag_names
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items
from tests.contract.subject import EVERY, MAX_MESSAGE_OCTETS, Subject, in_chunks, message


async def test_uids_rise_from_one_and_modseqs_with_them(subject: Subject) -> None:
    """RFC 9051 §2.3.1.1, RFC 7162 §3.1."""
    inbox = await subject.inbox()
    mailbox, before = await subject.store.mailboxes.status(inbox.account_id, "INBOX")
    added = [await subject.store.messages.append(inbox, b"x", 1) for _ in range(3)]
    assert [each.uid for each in added] == [1, 2, 3]
    assert {each.uid_validity for each in added} == {mailbox.uid_validity}
    assert added[0].previous_modseq == before.highest_modseq
    assert added[1].previous_modseq == added[0].modseq
    assert before.highest_modseq < added[0].modseq < added[1].modseq < added[2].modseq
    assert await subject.store.mailboxes.highest_modseq(inbox) == added[2].modseq


async def test_flags_keywords_and_date_are_kept(subject: Subject) -> None:
    """RFC 9051 §6.3.12; keywords keep the first spelling that the account used (§2.3.2)."""
    inbox = await subject.inbox()
    flags = ["\\seen", "$Work", "\\FLAGGED"]
    await subject.store.messages.append(inbox, b"x", 1, flags, internal_at=1_000_000_007)
    await subject.store.messages.append(inbox, b"x", 1, ["$WORK", "other"], internal_at=-1)
    await subject.store.messages.append(inbox, b"x", 1)
    page = await subject.rows(inbox, EVERY, Items.FLAGS | Items.INTERNALDATE)
    assert set(flag_names(page.flags[0], page.keywords)) == {"\\Seen", "\\Flagged", "$Work"}
    assert set(flag_names(page.flags[1], page.keywords)) == {"$Work", "other"}
    assert page.internal_at[0] == 1_000_000_007
    assert page.internal_at[1] == -1
    assert page.internal_at[2] > 1_500_000_000


@pytest.mark.parametrize(
    "octets",
    [0, 1, INLINE_OCTETS - 1024, INLINE_OCTETS - 1, INLINE_OCTETS, INLINE_OCTETS + 1, INLINE_OCTETS + 1024],
)
async def test_octets_come_back_as_they_came_at_every_size(subject: Subject, octets: int) -> None:
    """Around the bound up to which a body travels inline."""
    inbox, content = await subject.inbox(), message(octets)
    uid = await subject.append(inbox, octets=content)
    page = await subject.rows(inbox, EVERY, Items.BODY | Items.SIZE)
    assert list(page.sizes) == [octets]
    assert list(page.bodies) == [content if octets <= INLINE_OCTETS else None]
    assert await subject.octets(inbox, uid) == content


async def test_five_megabytes_in_odd_chunks_come_back_as_they_came(subject: Subject) -> None:
    """A body is a stream, whatever the sizes of its chunks."""
    inbox, content = await subject.inbox(), message(5 * 1024 * 1024 + 3)
    body = in_chunks(content, 1, 65_537, 262_144, 3, 99_991)
    uid = (await subject.store.messages.append(inbox, body, len(content))).uid
    assert await subject.octets(inbox, uid) == content


@pytest.mark.parametrize("octets", [10, INLINE_OCTETS + 100_000])
@pytest.mark.parametrize("lie", [-1, 1])
async def test_a_body_of_another_length_is_refused_and_leaves_nothing(
    subject: Subject, octets: int, lie: int
) -> None:
    """The port: size is exact."""
    inbox, content = await subject.inbox(), message(octets)
    before = await subject.store.mailboxes.status(inbox.account_id, "INBOX")
    with pytest.raises(InvalidMessage):
        await subject.store.messages.append(inbox, in_chunks(content, 70_001), octets + lie)
    with pytest.raises(InvalidMessage):
        await subject.store.messages.append(inbox, content, octets + lie)
    assert await subject.store.mailboxes.status(inbox.account_id, "INBOX") == before
    assert (await subject.store.accounts.usage(inbox.account_id)).bytes == 0


async def test_a_message_above_the_limit_is_refused_by_its_size(subject: Subject) -> None:
    """MessageTooLarge, before its octets are taken."""
    inbox = await subject.inbox()
    with pytest.raises(MessageTooLarge):
        await subject.store.messages.append(inbox, in_chunks(b"x" * 10, 1), MAX_MESSAGE_OCTETS + 1)
    assert await subject.live(inbox) == []


async def test_no_such_mailbox(subject: Subject) -> None:
    """Neither of this account nor of another."""
    inbox = await subject.inbox()
    for key in (MailboxKey(inbox.account_id, 999), MailboxKey(2**40, 1)):
        with pytest.raises(MailboxNotFound):
            await subject.store.messages.append(key, b"x", 1)


@pytest.mark.parametrize("flag", ["\\Recent", "\\Nonsense", "two words", ""])
async def test_what_is_no_flag_is_refused_and_leaves_nothing(subject: Subject, flag: str) -> None:
    """RFC 9051 §2.3.2."""
    inbox = await subject.inbox()
    with pytest.raises(InvalidArgument):
        await subject.store.messages.append(inbox, b"x", 1, [flag])
    assert await subject.live(inbox) == []


async def test_a_quota_holds_what_fits_exactly_and_not_an_octet_more(subject: Subject) -> None:
    """RFC 9208 §5.1."""
    inbox = await subject.inbox(Quota(bytes=100))
    await subject.append(inbox, octets=message(60))
    with pytest.raises(OverQuota):
        await subject.append(inbox, octets=message(41))
    await subject.append(inbox, octets=message(40))
    usage = await subject.store.accounts.usage(inbox.account_id)
    assert (usage.bytes, usage.messages) == (100, 2)
    await subject.append(inbox, octets=b"")
    with pytest.raises(OverQuota):
        await subject.append(inbox, octets=b"x")


async def test_a_quota_of_messages_counts_messages(subject: Subject) -> None:
    """RFC 9208 §5.2; what is expunged makes room again."""
    inbox = await subject.inbox(Quota(messages=2))
    await subject.fill(inbox, 2)
    with pytest.raises(OverQuota):
        await subject.append(inbox)
    await subject.store.messages.expunge(inbox, ((1, 1),), even_undeleted=True)
    assert await subject.append(inbox) == 3


async def test_a_repeated_request_id_adds_nothing_and_answers_the_same(subject: Subject) -> None:
    """A retried write takes effect once."""
    inbox, request_id = await subject.inbox(), uuid4()
    first = await subject.store.messages.append(inbox, b"x", 1, request_id=request_id)
    await subject.append(inbox)
    again = await subject.store.messages.append(inbox, b"x", 1, request_id=request_id)
    assert again == first
    assert await subject.live(inbox) == [1, 2]


async def test_a_request_that_was_refused_may_succeed_when_asked_again(subject: Subject) -> None:
    """Only what took effect is remembered."""
    inbox, request_id = await subject.inbox(Quota(messages=1)), uuid4()
    await subject.append(inbox)
    with pytest.raises(OverQuota):
        await subject.store.messages.append(inbox, b"x", 1, request_id=request_id)
    await subject.store.accounts.set_quota(inbox.account_id, Quota())
    assert (await subject.store.messages.append(inbox, b"x", 1, request_id=request_id)).uid == 2


async def test_without_a_request_id_the_same_octets_are_two_messages(subject: Subject) -> None:
    """Nothing is ever merged by content. RFC 1047."""
    inbox = await subject.inbox()
    assert [await subject.append(inbox, octets=b"same") for _ in range(2)] == [1, 2]
