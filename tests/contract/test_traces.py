"""Where letters went."""

from uuid import uuid4

import pytest

from services.mail.errors import InvalidArgument
from services.mail.store.deliveries import Addressee, Letter, Mode
from services.mail.store.traces import MAX_RECORDED, Trace, TraceKind
from tests.contract.subject import Subject


def head(sender: str, recipient: str) -> bytes:
    """What a door puts in front."""
    return (
        f"Return-Path: <{sender}>\r\nDelivered-To: {recipient}\r\n"
        "Received: from there.test ([192.0.2.7])\r\n\tby here.test with ESMTP id x\r\n"
    ).encode()


async def test_a_delivery_is_found_by_each_of_its_names(subject: Subject) -> None:
    """Message-ID with angle brackets and without, addresses in any case; and where its copy is now."""
    boxes = [await subject.inbox() for _ in range(2)]
    name = uuid4().hex
    octets = f"From: a@b.test\r\nMessage-ID: <{name}@There.test>\r\n\r\nhello\r\n".encode()
    to = [f"One-{name}@Here.test", f"two-{name}@here.test"]
    heads = [head(f"Sender-{name}@there.test", each) for each in to]
    letter = Letter(
        uuid4(),
        [Addressee(box, line, dsn="RET=HDRS NOTIFY=NEVER") for box, line in zip(boxes, heads, strict=True)],
        octets,
        len(octets),
        Mode.ALL,
    )
    await subject.store.deliveries.deliver(letter)
    await subject.store.deliveries.deliver(letter)  # takes effect once
    traces = subject.store.traces
    found = await traces.find(message_id=f"<{name}@There.test>")
    assert {each.recipient for each in found} == {each.lower() for each in to}
    assert await traces.find(sender=f"SENDER-{name}@There.test") == found
    (one,) = await traces.find(recipient=f"<one-{name}@HERE.test>", sender=f"sender-{name}@there.test")
    assert one in found
    assert one.kind is TraceKind.DELIVERED
    assert one.letter_id == letter.request_id
    assert await traces.find(letter_id=letter.request_id) == found
    assert not await traces.find(letter_id=uuid4())
    assert list(await traces.find(account_id=boxes[0].account_id)) == [one]
    assert one.account == subject.accounts[0].address
    assert one.dsn == "RET=HDRS NOTIFY=NEVER"
    assert one.peer == "192.0.2.7"
    assert one.size == len(heads[0]) + len(octets)
    assert (one.account_id, one.mailbox_id, one.uid) == (*boxes[0], 1)
    assert (one.mailbox, one.is_there) == ("INBOX", True)
    assert one.at > 0
    await subject.store.messages.expunge(boxes[0], ((1, 1),), even_undeleted=True)
    (gone,) = await traces.find(recipient=f"one-{name}@here.test")
    assert (gone.mailbox, gone.is_there) == ("INBOX", False)
    assert not await traces.find(message_id=f"{name}@there.test")  # it has case
    assert not await traces.find(message_id=f"{name}@There.test", recipient="nobody@here.test")


async def test_a_domain_is_found_in_either_spelling(subject: Subject) -> None:
    """RFC 5890 §2.3.2.1: the same domain in U-labels and in A-labels."""
    box, name = await subject.inbox(), uuid4().hex
    line = head(f"{name}@Bücher.test", f"{name}@bücher.test")
    await subject.store.deliveries.deliver(Letter(uuid4(), [Addressee(box, line)], b"\r\n", 2, Mode.ALL))
    for domain in ("BÜCHER.test", "xn--bcher-kva.test"):
        (found,) = await subject.store.traces.find(recipient=f"{name}@{domain}")
        assert found.sender == found.recipient == f"{name}@xn--bcher-kva.test"
        assert list(await subject.store.traces.find(sender=f"{name}@{domain}")) == [found]


async def test_what_a_door_refused_is_kept(subject: Subject) -> None:
    """The newest first, and no more than asked for."""
    sender = f"{uuid4().hex}@there.test"
    refused = [
        Trace(
            kind=TraceKind.REFUSED,
            at=1_700_000_000_000_000 + number,
            sender=sender,
            recipient=f"{number}@here.test",
            peer="192.0.2.7",
            detail="550 5.1.1 No such recipient",
        )
        for number in range(5)
    ]
    traces = subject.store.traces
    await traces.record(refused)
    assert list(await traces.find(sender=sender)) == refused[::-1]
    assert list(await traces.find(sender=sender, most=2)) == refused[:2:-1]
    assert list(await traces.find(sender=sender, recipient="3@here.test")) == [refused[3]]


async def test_a_trace_needs_a_name_and_a_bound(subject: Subject) -> None:
    """Nobody asks for everything."""
    with pytest.raises(InvalidArgument):
        await subject.store.traces.find()
    with pytest.raises(InvalidArgument):
        await subject.store.traces.record([Trace(kind=TraceKind.REFUSED, at=1)] * (MAX_RECORDED + 1))


async def test_a_message_id_that_cannot_be_kept_loses_nothing_else(subject: Subject) -> None:
    """NUL, quotes, no end, octets beyond ASCII, a kilobyte."""
    box = await subject.inbox()
    recipient = f"{uuid4().hex}@here.test"
    for value in (b'<a"b\\c@d>', b"\xff\xfe\x00@d", b"<" + b"x" * 3000 + b"@d>", b"", b'"'):
        octets = b"Message-ID: " + value + b"\r\n\r\n"
        await subject.store.deliveries.deliver(
            Letter(uuid4(), [Addressee(box, head("", recipient))], octets, len(octets), Mode.ALL)
        )
    found = await subject.store.traces.find(recipient=recipient)
    assert [each.uid for each in found] == [5, 4, 3, 2, 1]
    assert found[-1].message_id == 'a"b\\c@d'
    assert (await subject.store.traces.find(message_id="<" + "x" * 3000 + "@d>"))[0].uid == 3
