"""Fetch and read. RFC 9051 §6.4.5."""

import pytest

from services.mail.errors import MailboxNotFound, MessageGone
from services.mail.mime import scan
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items, Page
from tests.contract.subject import EVERY, Subject, joined, letter, message

MULTIPART = (
    b"From: a@contract.test\r\nSubject: =?utf-8?q?x?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\n\r\none\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntwo\r\n--b--\r\n"
)
COLUMNS = {
    Items.FLAGS: {"flags"},
    Items.MODSEQ: {"modseqs"},
    Items.INTERNALDATE: {"internal_at"},
    Items.SIZE: {"sizes"},
    Items.ENVELOPE: {"envelopes"},
    Items.STRUCTURE: {"structures"},
    Items.PARTS: {"parts", "heads"},
    Items.HEADER: {"headers"},
    Items.BODY: {"bodies"},
}


@pytest.mark.parametrize("item", COLUMNS)
async def test_a_column_comes_where_it_was_asked_for_and_only_there(subject: Subject, item: Items) -> None:
    """Columns are parallel; one that was not asked for is empty."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 3)
    page = await subject.rows(inbox, EVERY, item)
    filled = {name for name in Page.__slots__ if len(getattr(page, name))}
    assert filled == COLUMNS[item] | {"uids"}
    assert all(len(getattr(page, name)) == 3 for name in filled)


async def test_structure_is_what_the_scanner_sees(subject: Subject) -> None:
    """Storage parses; no caller supplies structure."""
    inbox = await subject.inbox()
    await subject.append(inbox, octets=MULTIPART)
    page = await subject.rows(inbox, EVERY, Items.ENVELOPE | Items.STRUCTURE | Items.PARTS | Items.HEADER)
    seen = scan(MULTIPART)
    assert (page.envelopes[0], page.structures[0], page.parts[0]) == (
        seen.envelope,
        seen.structure,
        seen.parts,
    )
    assert page.headers[0] == MULTIPART[: MULTIPART.index(b"\r\n\r\n") + 4]
    assert list(page.heads) == [0]


async def test_a_head_stands_in_front_and_the_map_does_not_know_it(subject: Subject) -> None:
    """Each recipient has trace headers of his own in front of the same octets."""
    one, two = await subject.inbox(), await subject.inbox()
    heads = [b"Return-Path: <>\r\nDelivered-To: one\r\n", b"Delivered-To: two\r\n"]
    await subject.store.deliveries.deliver(letter(one, two, body=MULTIPART, heads=heads))
    for inbox, head in zip((one, two), heads, strict=True):
        items = Items.PARTS | Items.HEADER | Items.BODY | Items.SIZE | Items.STRUCTURE
        page = await subject.rows(inbox, EVERY, items)
        assert list(page.heads) == [len(head)]
        assert list(page.sizes) == [len(head) + len(MULTIPART)]
        assert list(page.bodies) == [head + MULTIPART]
        assert page.headers[0] == head + MULTIPART[: MULTIPART.index(b"\r\n\r\n") + 4]
        assert (page.parts[0], page.structures[0]) == (scan(MULTIPART).parts, scan(MULTIPART).structure)
        assert await subject.octets(inbox, 1) == head + MULTIPART


async def test_a_head_takes_the_last_octets_of_what_travels_inline(subject: Subject) -> None:
    """The bound is that of the message as it goes out."""
    inbox, head = await subject.inbox(), b"H: 1\r\n"
    for size in (INLINE_OCTETS - len(head), INLINE_OCTETS - len(head) + 1):
        await subject.store.deliveries.deliver(letter(inbox, body=message(size), heads=[head]))
    page = await subject.rows(inbox, EVERY, Items.BODY)
    assert page.bodies[0] == head + message(INLINE_OCTETS - len(head))
    assert page.bodies[1] is None
    assert await subject.octets(inbox, 2) == head + message(INLINE_OCTETS - len(head) + 1)


async def test_uids_that_do_not_live_are_left_out(subject: Subject) -> None:
    """RFC 9051 §6.4.9: no error for a uid that is not there."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 5)
    page = await subject.rows(inbox, ((2, 3), (5, 5), (9, 4_000_000_000)), Items.SIZE)
    assert list(page.uids) == [2, 3, 5]
    assert (await subject.rows(inbox, (), Items.SIZE)).uids == []
    assert (await subject.rows(inbox, ((6, 6),), Items.SIZE)).uids == []


async def test_no_such_mailbox(subject: Subject) -> None:
    """A refusal at the first page."""
    inbox = await subject.inbox()
    for key in (MailboxKey(inbox.account_id, 999), MailboxKey(2**40, 1)):
        with pytest.raises(MailboxNotFound):
            await joined(subject.store.messages.fetch(key, EVERY, Items.FLAGS))


async def test_pages_are_bounded_and_in_order(subject: Subject) -> None:
    """About 1 MB of bodies a page, at most 1,000 rows."""
    inbox = await subject.inbox()
    for _ in range(12):
        await subject.append(inbox, octets=message(200_000))
    pages = [page async for page in subject.store.messages.fetch(inbox, EVERY, Items.BODY)]
    assert [uid for page in pages for uid in page.uids] == list(range(1, 13))
    assert len(pages) > 1
    assert all(sum(len(body or b"") for body in page.bodies) <= 1_500_000 for page in pages)


@pytest.mark.parametrize("size", [1000, INLINE_OCTETS * 2 + 77])
async def test_any_range_of_a_message_can_be_read(subject: Subject, size: int) -> None:
    """[start, end), as far as there are octets; in chunks of at most 256 KB, none of them empty."""
    inbox, head = await subject.inbox(), b"H: 1\r\n"
    whole = head + message(size)
    await subject.store.deliveries.deliver(letter(inbox, body=message(size), heads=[head]))
    edges = [
        0,
        1,
        5,
        6,
        7,
        500,
        len(whole) - 1,
        len(whole),
        len(whole) + 10,
        INLINE_OCTETS,
        INLINE_OCTETS + 6,
    ]
    for start in edges:
        for end in edges:
            chunks = [chunk async for chunk in subject.store.messages.read(inbox, 1, start, end)]
            assert b"".join(chunks) == (whole[start:end] if end > start else b""), (start, end)
            assert all(0 < len(chunk) <= INLINE_OCTETS for chunk in chunks)


async def test_a_range_beyond_every_message_is_empty(subject: Subject) -> None:
    """Whatever 64 bits hold may be asked for."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 1)
    for start in (2**31 - 1, 2**31, 2**40):
        chunks = [chunk async for chunk in subject.store.messages.read(inbox, 1, start, start + 5)]
        assert b"".join(chunks) == b""


async def test_reading_what_is_not_there_says_so(subject: Subject) -> None:
    """MessageGone, also for an empty range and a mailbox that is not there."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 1)
    for key, uid, end in ((inbox, 2, 10), (inbox, 2, 0), (MailboxKey(inbox.account_id, 999), 1, 10)):
        with pytest.raises(MessageGone):
            _ = [chunk async for chunk in subject.store.messages.read(key, uid, 0, end)]


async def test_what_was_expunged_a_moment_ago_can_still_be_read(subject: Subject) -> None:
    """A session that was not told yet may still fetch it. RFC 2180 §4.1.3."""
    inbox = await subject.inbox()
    await subject.append(inbox, octets=b"small")
    await subject.append(inbox, octets=message(INLINE_OCTETS + 1))
    await subject.store.messages.expunge(inbox, EVERY, even_undeleted=True)
    assert await subject.live(inbox) == []
    page = await subject.rows(inbox, ((1, 2),), Items.BODY | Items.SIZE)
    assert list(page.bodies) == [b"small", None]
    assert await subject.octets(inbox, 2) == message(INLINE_OCTETS + 1)


async def test_one_account_never_sees_anothers_message(subject: Subject) -> None:
    """The same numbers in another account are other messages."""
    one, two = await subject.inbox(), await subject.inbox()
    await subject.append(one, octets=b"mine")
    await subject.append(two, octets=b"yours")
    assert await subject.octets(one, 1) == b"mine"
    assert await subject.octets(two, 1) == b"yours"
