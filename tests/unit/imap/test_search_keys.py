"""Search keys as they are written, and what they mean. RFC 9051 §6.4.4."""

import pytest

from services.mail.errors import InvalidArgument, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.search.keys import parse
from services.mail.imap.search.returning import Returning, extended, listed
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
)

AND, OR, NOT = Operator.AND, Operator.OR, Operator.NOT
DAY = 86400
SEEN = Flagged("\\Seen")
RECENT = ((7, 9),)

KEYS: list[tuple[bytes, Query]] = [
    (b"ALL", (Everything(),)),
    (b"answered", (Flagged("\\Answered"),)),
    (b"UNDELETED", (Flagged("\\Deleted"), NOT)),
    (b"DRAFT UNFLAGGED", (Flagged("\\Draft"), Flagged("\\Flagged"), NOT, AND)),
    (b"KEYWORD $Work", (Flagged("$Work"),)),
    (b"UNKEYWORD x", (Flagged("x"), NOT)),
    (b"RECENT", (Among(RECENT),)),
    (b"OLD", (Among(RECENT), NOT)),
    (b"NEW", (Among(RECENT), SEEN, NOT, AND)),
    (b"BEFORE 2-Jan-1970", (Arrived(before=DAY),)),
    (b'ON "02-Jan-1970"', (Arrived(DAY, 2 * DAY),)),
    (b"SINCE 1-jan-1970", (Arrived(since=0),)),
    (b"SENTBEFORE 31-Dec-1969", (Sent(before=-1),)),
    (b"SENTON 1-Jan-1970", (Sent(0, 1),)),
    (b"SENTSINCE 3-Jan-1970", (Sent(since=2),)),
    (b"LARGER 5", (Sized(least=6),)),
    (b"SMALLER 0", (Sized(most=-1),)),
    (b"YOUNGER 100", (Arrived(since=900),)),
    (b"OLDER 100", (Arrived(since=900), NOT)),
    (b"MODSEQ 0", (Changed(0),)),
    (b'MODSEQ "/flags/\\\\draft" all 620162338', (Changed(620162338),)),
    (b"BCC a CC b", (InField("BCC", "a"), InField("CC", "b"), AND)),
    (b'FROM "a b" TO {1}\r\nc', (InField("FROM", "a b"), InField("TO", "c"), AND)),
    (b'SUBJECT ""', (InField("SUBJECT", ""),)),
    (b'HEADER X-a "\xc3\xa9"', (InField("X-a", "é"),)),
    (b'BODY x TEXT "%"', (InBody("x"), InText("%"), AND)),
    (b"3,5:*", (Among(((1, 4),)),)),
    (b"UID 1:3", (Among(((1, 4),)),)),
    (b"$", (Among(((1, 4),)),)),
    (b"OR SEEN NOT ALL", (SEEN, Everything(), NOT, OR)),
    (b"(SEEN (ALL BODY x)) 1", (SEEN, Everything(), InBody("x"), AND, AND, Among(((1, 4),)), AND)),
    (b"NOT (SEEN ALL)", (SEEN, Everything(), AND, NOT)),
]


@pytest.mark.parametrize(("octets", "query"), KEYS, ids=[each[0].decode("latin-1") for each in KEYS])
def test_a_key_means(octets: bytes, query: Query) -> None:
    keys = parse(Arguments(octets))
    assert keys.resolve([((1, 4),)] * len(keys.sets), RECENT, now=1000) == query


@pytest.mark.parametrize(
    "octets",
    [
        *(b"", b"()", b"NOT", b"OR SEEN", b"FOO", b"SUBJECT", b"BEFORE 1-Foo-2020", b"ON 31-Feb-2020", b"LARGER x"),
        *(b"UNALL", b"UNRECENT", b"UNNEW", b"OLDER 0", b"MODSEQ -1", b"MODSEQ 9223372036854775808", b"SEEN  ALL"),
        *(b'MODSEQ "/flags/x" some 1', b'SUBJECT "\xff"', b"(SEEN", b"SEEN)", b"LARGER 9223372036854775808", b"0"),
        *(b"$,1", b"UID", b"HEADER x", b"(" * 60 + b"ALL" + b")" * 60, b"NOT " * 60 + b"ALL", b"ALL " * 1001 + b"ALL"),
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(octets: bytes) -> None:
    with pytest.raises((ProtocolError, InvalidArgument)):
        parse(Arguments(octets))


@pytest.mark.parametrize(
    ("options", "found", "wanted"),
    [
        ("", [2, 3, 4], b'* ESEARCH (TAG "t") ALL 2:4\r\n'),
        ("MIN", [2, 4], b'* ESEARCH (TAG "t") MIN 2 MODSEQ 20\r\n'),
        ("MAX", [2, 4], b'* ESEARCH (TAG "t") MAX 4 MODSEQ 10\r\n'),
        ("MIN MAX", [2, 3, 4], b'* ESEARCH (TAG "t") MIN 2 MAX 4 MODSEQ 20\r\n'),
        ("MIN COUNT", [2, 3, 4], b'* ESEARCH (TAG "t") MIN 2 COUNT 3 MODSEQ 30\r\n'),
        ("ALL", [], b'* ESEARCH (TAG "t")\r\n'),
        ("SAVE", [2], b""),
        ("SAVE COUNT", [2], b'* ESEARCH (TAG "t") COUNT 1 MODSEQ 20\r\n'),
    ],
)
def test_what_is_returned(options: str, found: list[int], wanted: bytes) -> None:
    """RFC 4731 §3.1, §3.2: the modseq is that of what is asked for."""
    returning = Returning.parse(Arguments(f"RETURN ({options})".encode()))
    modseqs = {1: [20], 2: [20, 10], 3: [20, 30, 10]}.get(len(found), []) if options else []
    answer = extended(returning, found, b"t", are_uids=False, modseq=returning.modseq(modseqs))
    assert b"".join(each.render() for each in answer) == wanted


def test_a_long_answer_is_one_line() -> None:
    answer = b"".join(each.render() for each in listed(range(1, 20_001), 5))
    assert answer == b"* SEARCH " + b" ".join(b"%d" % each for each in range(1, 20_001)) + b" (MODSEQ 5)\r\n"
    assert b"".join(each.render() for each in listed([], 5)) == b"* SEARCH\r\n"


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ("SAVE", ((2, 4),)),
        ("SAVE MIN", ((2, 2),)),
        ("SAVE MIN MAX", ((2, 2), (4, 4))),
        ("SAVE COUNT", ((2, 4),)),
    ],
)
def test_what_is_saved(options: str, saved: tuple[tuple[int, int], ...]) -> None:
    """RFC 5182 §2.4."""
    returning = Returning.parse(Arguments(f"RETURN ({options})".encode()))
    assert returning.saved([2, 3, 4]) == saved
    assert returning.saved([]) == ()
