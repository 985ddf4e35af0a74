"""Message structure: chunked or whole it is the same, parts lie inside one another, and the work is linear."""

from hypothesis import given
from hypothesis import strategies as st

from services.mail.mime import body_of, scan
from services.mail.mime.envelope import ENVELOPE_LIMIT
from services.mail.mime.scanner import STRUCTURE_LIMIT
from tests.fuzz.share import share
from tests.unit.mail.structures import check, feed, parts_of

LINES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"--", b"-", b"--a", b"--ab", b"--a--", b"--ab--", b"a", b" ", b"\0", b"\xff"),
        *(b"\r\n--a\r\n", b"\r\n--ab\r\n", b"\r\n--a--\r\n", b"\n--ab--\n", b"--a \t\r\n", b"\r\n--a", b"--abc\r\n"),
        *(b"Content-Type: multipart/mixed; boundary=a\r\n", b"Content-Type: multipart/digest; boundary=ab\r\n"),
        *(b'Content-Type: multipart/alternative;\r\n boundary="ab"\r\n', b"Content-Type: multipart/mixed\r\n"),
        *(b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: message/global\r\n", b"Content-Type: text/html\r\n"),
        *(b"Subject: x\r\n", b"Subject: =?utf-8?q?=C3=A9?=\r\n", b"To: a@b,\r\n (c\r\n", b"From: g: a@b, <c@d>;\r\n"),
        *(b"Content-Disposition: attachment; filename*=utf-8''x\r\n", b"Content-Language: en, de\r\n", b"Date: \r\n"),
        *(b"Content-Transfer-Encoding: base64\r\n", b'Content-Type: a/b; name="', b"; x*0=1; x*1=2", b"\r\n\r\n"),
        *(b"\\", b'"', b"(", b")"),
    ]
)  # fmt: skip
MESSAGES = st.builds(
    lambda first, lines: first + b"".join(lines),
    st.sampled_from(
        [b"Content-Type: multipart/mixed; boundary=a\r\n", b"Content-Type: message/rfc822\r\n\r\n", b""]
    ),
    st.lists(st.one_of(LINES, LINES, LINES, st.binary(max_size=12)), max_size=40),
)
SIZES = st.lists(st.integers(0, 9), max_size=60)


@share(1)
@given(MESSAGES, SIZES)
def test_any_cutting_of_any_message_gives_the_same_structure(message: bytes, sizes: list[int]) -> None:
    """RFC 2046 §5.1.1: boundaries are found wherever the octets were cut."""
    whole = scan(message)
    assert feed(message, sizes)[0] == whole
    assert feed(message, [1] * len(message))[0] == whole


@share(1)
@given(MESSAGES)
def test_every_part_lies_where_the_structure_says(message: bytes) -> None:
    """RFC 9051 §7.5.2: inside the message and inside one another; BODY is BODYSTRUCTURE without its extensions."""
    check(message, scan(message))


@share(1)
@given(MESSAGES, st.sampled_from([b"\r\n", b"\n--a", b"\r\n--a\r\n\r\n", b"A: b\r\n", b"To: a@b, ", b"("]))
def test_the_work_is_linear(message: bytes, filler: bytes) -> None:
    """attacks 20: octets are looked at a bounded number of times, whatever surrounds what is repeated."""
    long = message + filler * 2000 + message
    structure, scanner = feed(long, [])
    assert scanner.visited <= 16 * len(long) + 1000
    assert len(structure.envelope) <= ENVELOPE_LIMIT
    assert len(structure.structure) <= STRUCTURE_LIMIT
    assert body_of(structure.structure).count(b"(") <= structure.structure.count(b"(")
    assert parts_of(structure).root.end == len(long)
