"""Whatever is searched in whatever messages, it is found as the plain reference in memory finds it."""

import asyncio
import base64
import quopri

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.mail.store.mailboxes import MailboxKey
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
from services.mail.store.uids import normalise
from tests.contract.conftest import in_memory, opened
from tests.contract.subject import EVERY, Subject

PIECES = [
    "a",
    "B",
    "é",
    "É",
    "e\u0301",
    "ß",
    "ﬁ",
    "%",
    "_",
    "\\",
    " ",
    "漢",
    "&",
    "<",
    "&amp;",
    "İ",
    "\r\n",
    "=",
    "?",
]
NAMES = ["Subject", "To", "subject", "X-A", "Date"]

words = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
lines = words.map(lambda text: " ".join(text.split()))
values = st.one_of(
    lines.map(str.encode),
    lines.map(lambda text: b"=?utf-8?q?" + b"".join(b"=%02X" % octet for octet in text.encode()) + b"?="),
    st.sampled_from(
        [b"1 Jan 2026 10:00 +0000", b"Thu, 01 Jan 1970 00:00:00 -0000", b"one\r\n\ttwo", b"=?x", b"\xe9\xff"]
    ),
)
fields = st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=4)
encodings = st.sampled_from([b"", b"quoted-printable", b"base64", b"8bit"])
charsets = st.sampled_from(["utf-8", "iso-8859-1", "utf-16", "x-none"])
types = st.sampled_from([b"text/plain", b"text/html", b"text/calendar", b"image/png", b"message/rfc822"])


def part(kind: bytes, charset: str, encoding: bytes, text: str) -> bytes:
    """One part with its header."""
    octets = text.encode(charset if charset != "x-none" else "utf-8", "replace")
    if encoding == b"base64":
        octets = base64.encodebytes(octets)
    elif encoding == b"quoted-printable":
        octets = quopri.encodestring(octets)
    return b"Content-Type: %b; charset=%b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (
        kind, charset.encode(), encoding, octets,
    )  # fmt: skip


parts = st.builds(part, types, charsets, encodings, words)


def message(header: list[tuple[str, bytes]], inside: list[bytes]) -> bytes:
    """A message of these fields and parts."""
    octets = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in header)
    if len(inside) == 1:
        return octets + inside[0]
    joined = b"".join(b"\r\n--=_=\r\n" + each for each in inside)
    return octets + b'Content-Type: multipart/mixed; boundary="=_="\r\n\r\n' + joined + b"\r\n--=_=--\r\n"


messages = st.builds(message, fields, st.lists(parts, max_size=3))
uids = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=3).map(normalise)
keys = st.one_of(
    st.just(Everything()),
    st.builds(Among, uids),
    st.builds(Flagged, st.sampled_from(["\\Seen", "k", "none"])),
    st.builds(Sized, st.integers(0, 300), st.integers(0, 600)),
    st.builds(Arrived, st.integers(0, 5), st.integers(0, 9)),
    st.builds(Sent, st.sampled_from([-(2**62), 0, 20453]), st.sampled_from([1, 20455, 2**62])),
    st.builds(Changed, st.integers(0, 9)),
    st.builds(InField, st.sampled_from([*NAMES, "Content-Type", ""]), words),
    st.builds(InBody, words),
    st.builds(InText, st.one_of(words, st.sampled_from(["subject: a", "charset=utf-8", "text/"]))),
)


def joined(query: list[Term], operator: Operator, more: list[Term]) -> list[Term]:
    """Two queries as one, or one negated."""
    return [*query, operator] if operator is Operator.NOT else [*query, *more, operator]


queries = st.recursive(
    keys.map(lambda key: [key]),
    lambda inner: st.builds(joined, inner, st.sampled_from(Operator), inner),
    max_leaves=6,
)


async def fill(subject: Subject, octets: list[bytes], prepared: int) -> MailboxKey:
    """A fresh INBOX with these; the first `prepared` of them are prepared for searching."""
    inbox = await subject.inbox()
    for number, each in enumerate(octets):
        if number == prepared:
            await subject.prepare(inbox.account_id)
        flags = [["\\Seen"], ["k"], []][number % 3]
        await subject.store.messages.append(inbox, each, len(each), flags, number)
    if prepared >= len(octets):
        await subject.prepare(inbox.account_id)
    return inbox


async def find(subject: Subject, inbox: MailboxKey, query: Query) -> list[tuple[int, ...]]:
    """Uids, with modseqs where they are told."""
    found = [part async for part in subject.store.search.search(inbox, EVERY, query)]
    uids_found = [uid for each in found for uid in each.uids]
    modseqs = [modseq for each in found for modseq in each.modseqs]
    return [*zip(uids_found, modseqs or uids_found, strict=True)]


async def compare(subject: Subject, octets: list[bytes], prepared: int, asked: list[list[Term]]) -> None:
    """Both find the same."""
    async with in_memory() as oracle:
        expected, inbox = await fill(oracle, octets, prepared), await fill(subject, octets, prepared)
        for query in asked:
            wanted = await find(oracle, expected, tuple(query))
            assert await find(subject, inbox, tuple(query)) == wanted, query


@pytest.mark.parametrize("kind", ["postgres", "remote"])
def test_searches_find_what_the_reference_finds(kind: str, request: pytest.FixtureRequest) -> None:
    """Prepared or not, and some of each."""
    with asyncio.Runner() as runner:
        context = opened(kind, request)
        subject = runner.run(context.__aenter__())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.lists(messages, min_size=1, max_size=6),
            st.integers(0, 6),
            st.lists(queries, min_size=3, max_size=12),
        )
        def play(octets: list[bytes], prepared: int, asked: list[list[Term]]) -> None:
            runner.run(compare(subject, octets, prepared, asked))

        try:
            play()
        finally:
            runner.run(context.__aexit__(None, None, None))
