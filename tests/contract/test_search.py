"""Search. RFC 9051 §6.4.4."""

from collections.abc import Sequence

import pytest

from services.mail.errors import InvalidArgument, MailboxNotFound
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange, Items
from services.mail.store.search import (
    Among,
    Arrived,
    Changed,
    Everything,
    Flagged,
    InBody,
    InField,
    InText,
    Operator,
    Query,
    Sent,
    Sized,
    Term,
)
from services.mail.store.uids import Runs
from tests.contract.subject import EVERY, Subject

AND, OR, NOT = Operator.AND, Operator.OR, Operator.NOT

PLAIN = (
    b"From: Ann <ann@contract.test>\r\nTo: bob@contract.test\r\nTo: carol@contract.test\r\n"
    b'Cc: <dora (at work)@ (ours) contract.test>,\r\n "eve"@contract.test, finn @contract.test\r\n'
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_aus_K=C3=B6ln?=\r\nX-Empty:\r\n"
    b"Date: Wed, 31 Dec 2025 23:30:00 -0800\r\nReceived: by one\r\nReceived: by two;\r\n\tlater\r\n\r\n"
    b"The quick brown fox\r\njumps over 100% of_them\r\n"
)
PARTS = (
    b"Subject: parts\r\nDate: 1 Jan 2026 10:00 +0000\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: base64\r\n\r\nUHJlaXM6IDUgpA=="
    b"\r\n--b\r\n"
    b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b'<p class=3D"x">caf&eacute; <b>au</b>lait=\r\n now</p>\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n'
    b"Subject: forwarded words\r\n\r\ninner text\r\n--b\r\n"
    b"Content-Type: application/octet-stream; name=secret.bin\r\n\r\nattached words\r\n--b--\r\n"
)
BARE = b"Subject:\r\n\r\n"


async def filled(subject: Subject) -> MailboxKey:
    """An INBOX with the three: uids 1, 2 and 3."""
    inbox = await subject.inbox()
    for at, (octets, flags) in enumerate([(PLAIN, ["\\Seen"]), (PARTS, ["Work", "\\Flagged"]), (BARE, [])]):
        await subject.store.messages.append(inbox, octets, len(octets), flags, 86400 * (at + 1))
    return inbox


async def found(subject: Subject, mailbox: MailboxKey, *query: Term, uids: Runs = EVERY) -> list[int]:
    """All that is found, in its order."""
    parts = [part async for part in subject.store.search.search(mailbox, uids, query)]
    assert [part.searched_to for part in parts] == sorted(part.searched_to for part in parts)
    uids_found = [uid for part in parts for uid in part.uids]
    assert uids_found == sorted(set(uids_found))
    return uids_found


KEYS: list[tuple[str, Query, Sequence[int]]] = [
    ("everything", (Everything(),), [1, 2, 3]),
    ("uids", (Among(((1, 1), (3, 9))),), [1, 3]),
    ("no uids", (Among(()),), []),
    ("a flag", (Flagged("\\Seen"),), [1]),
    ("a keyword in another case", (Flagged("wORK"),), [2]),
    ("a keyword that nobody has", (Flagged("nobody"),), []),
    ("larger", (Sized(least=len(PLAIN)),), [1, 2]),
    ("exactly", (Sized(len(BARE), len(BARE)),), [3]),
    ("smaller", (Sized(most=len(BARE) - 1),), []),
    ("arrived", (Arrived(since=86400 * 2),), [2, 3]),
    ("arrived within", (Arrived(86400, 86400 * 2),), [1]),
    ("sent on the day that is written there", (Sent(20453, 20454),), [1]),
    ("sent since", (Sent(since=20454),), [2]),
    ("not sent before: what has no date is there, too", (Sent(before=20454), NOT), [2, 3]),
    ("an encoded subject", (InField("subject", "gRÜßE AUS"),), [1]),
    ("a base letter", (InField("subject", "koln"),), []),
    ("a decomposed letter", (InField("subject", "ko\u0308ln"),), [1]),
    ("a field that is there", (InField("X-Empty", ""),), [1]),
    ("an empty subject", (InField("Subject", ""),), [1, 2, 3]),
    ("the second of two fields", (InField("to", "CAROL@"),), [1]),
    ("not across two fields", (InField("to", "test carol"),), []),
    ("an address with comments", (InField("cc", "dora@contract.test"),), [1]),
    ("an address with quotes", (InField("CC", "Eve@Contract"),), [1]),
    ("an address with spaces", (InField("Cc", "finn@contract"),), [1]),
    ("an address as it is written", (InField("Cc", "(at work)@ (ours)"),), [1]),
    ("an address in no other field", (InField("To", "finn@contract"),), []),
    ("a name is no value", (InField("received", "received"),), []),
    ("a folded value", (InField("Received", "two; later"),), [1]),
    ("a value in another field", (InField("from", "bob"),), []),
    ("the beginning of a name", (InField("Sub", "parts"),), []),
    ("a field of a message inside", (InField("Subject", "forwarded"),), []),
    ("a line end in no field", (InField("Received", "two;\r\n"),), []),
    ("no such field", (InField("no:such", "x"),), []),
    ("no name", (InField("", ""),), []),
    ("a body", (InBody("QUICK"),), [1]),
    ("across a line end", (InBody("fox\r\njumps"),), [1]),
    ("wildcards are themselves", (InBody("100% of_them"),), [1]),
    ("no wildcard", (InBody("quick%fox"),), []),
    ("a header is no body", (InBody("ann@"),), []),
    ("base64 and a charset", (InBody("preis: 5 €"),), [2]),
    ("HTML as it is seen", (InBody("café aulait now"),), [2]),
    ("HTML as it is written", (InBody('<p class="X">'),), [2]),
    ("a message inside", (InBody("inner TEXT"),), [2]),
    ("not an attachment", (InBody("attached"),), []),
    ("not across parts", (InBody("€\nca"),), []),
    ("an empty text", (InBody(""),), [1, 2, 3]),
    ("text in a header", (InText("ann@"),), [1]),
    ("a field with its name", (InText("subject: parts"),), [2]),
    ("text in a part's header", (InText("secret.bin"),), [2]),
    ("text in a message's header inside", (InText("Forwarded Words"),), [2]),
    ("text in a body", (InText("aulait"),), [2]),
    ("text nowhere", (InText("nowhere"),), []),
    ("and", (InText("o"), Flagged("\\Seen"), AND), [1]),
    ("or", (InBody("fox"), Flagged("\\Flagged"), OR), [1, 2]),
    ("not", (InBody("fox"), NOT), [2, 3]),
    ("not a or b and c", (InBody("fox"), NOT, InText("parts"), OR, Sized(most=20), NOT, AND), [2]),
]


@pytest.mark.parametrize("is_prepared", [False, True], ids=["read now", "prepared"])
async def test_every_key(subject: Subject, is_prepared: bool) -> None:
    """The same is found whether the texts were prepared for searching or not."""
    inbox = await filled(subject)
    if is_prepared:
        await subject.prepare(inbox.account_id)
    seen = {name: await found(subject, inbox, *query) for name, query, _ in KEYS}
    assert seen == {name: wanted for name, _, wanted in KEYS}


async def test_only_these_uids_are_searched_and_only_what_lives(subject: Subject) -> None:
    inbox = await filled(subject)
    assert await found(subject, inbox, Everything(), uids=((2, 2), (7, 9))) == [2]
    assert await found(subject, inbox, Everything(), uids=()) == []
    await subject.store.messages.expunge(inbox, ((2, 2),), even_undeleted=True)
    assert await found(subject, inbox, Everything()) == [1, 3]
    assert await found(subject, inbox, InBody("fox"), NOT) == [3]


async def test_what_was_changed_since_comes_with_its_modseqs(subject: Subject) -> None:
    """RFC 7162 §3.1.5."""
    inbox = await filled(subject)
    stored = await subject.store.messages.store(inbox, ((1, 1),), FlagChange.ADD, ["\\Answered"])
    page = await subject.rows(inbox, EVERY, Items.MODSEQ)
    parts = [
        part async for part in subject.store.search.search(inbox, EVERY, (Changed(stored.highest_modseq),))
    ]
    assert [(uid, modseq) for part in parts for uid, modseq in zip(part.uids, part.modseqs, strict=True)] == [
        (1, stored.highest_modseq)
    ]
    assert await found(subject, inbox, Changed(page.modseqs[1])) == [1, 2, 3]
    assert await found(subject, inbox, Changed(stored.highest_modseq + 1)) == []


async def test_many_are_found_in_order(subject: Subject) -> None:
    """More than a window of them, with holes."""
    inbox = await subject.inbox()
    await subject.fill(inbox, 300)
    await subject.store.messages.expunge(inbox, ((50, 199),), even_undeleted=True)
    await subject.prepare(inbox.account_id)
    await subject.fill(inbox, 20)
    wanted = [uid for uid in (*range(1, 50), *range(200, 321)) if str((uid - 1) % 300 + 1).find("1") >= 0]
    assert await found(subject, inbox, InField("subject", "1")) == wanted


@pytest.mark.parametrize("is_prepared", [False, True])
async def test_a_large_text_is_searched_to_its_end(subject: Subject, is_prepared: bool) -> None:
    """Larger than what is kept, and than what is at hand at once; the text lies across every cut."""
    inbox = await subject.inbox()
    line = b"0123456789abcdef" * 4 + b"\r\n"
    octets = b"Subject: large\r\n\r\n" + line * 40_000 + "the ünd".encode()
    await subject.append(inbox, octets=octets)
    if is_prepared:
        await subject.prepare(inbox.account_id)
    assert await found(subject, inbox, InBody("THE ÜND")) == [1]
    assert await found(subject, inbox, InBody("f\r\n0123" + "456789abcdef0123" * 3)) == [1]
    assert await found(subject, inbox, InBody("not there")) == []
    assert await found(subject, inbox, InText("large")) == [1]


async def test_refusals(subject: Subject) -> None:
    inbox = await filled(subject)
    for key in (MailboxKey(inbox.account_id, 999), MailboxKey(2**40, 1)):
        with pytest.raises(MailboxNotFound):
            await found(subject, key, Everything())
    queries: list[Query] = [
        (),
        (NOT,),
        (Everything(), AND),
        (Everything(), Everything()),
        (Everything(),) * 10_001,
    ]
    for query in queries:
        with pytest.raises(InvalidArgument):
            await found(subject, inbox, *query)


async def test_a_field_is_found_by_what_is_seen_of_it(subject: Subject) -> None:
    """As ENVELOPE tells it, with one blank for several, and as it is written."""
    inbox = await subject.inbox()
    octets = b"Subject: three  two\r\n   f\tg\r\nFrom: A  B <a@b.test>\r\n\r\n"
    await subject.store.messages.append(inbox, octets, len(octets))
    for is_kept in (False, True):
        if is_kept:
            await subject.prepare(inbox.account_id)
        for key in (
            InField("subject", "three two f g"),
            InField("subject", "three  two"),
            InField("from", "a b <"),
            InText("two f g"),
        ):
            assert await found(subject, inbox, key) == [1], (key, is_kept)
        assert await found(subject, inbox, InField("subject", "three   two")) == []


async def test_one_account_never_finds_anothers_message(subject: Subject) -> None:
    one, two = await subject.inbox(), await subject.inbox()
    await subject.append(one, octets=b"Subject: mine\r\n\r\nmine\r\n")
    await subject.append(two, octets=b"Subject: yours\r\n\r\nyours\r\n")
    for is_prepared in (False, True):
        if is_prepared:
            await subject.prepare(one.account_id)
            await subject.prepare(two.account_id)
        assert await found(subject, one, InText("yours")) == []
        assert await found(subject, two, InText("yours")) == [1]
