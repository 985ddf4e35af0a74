"""What of a message is searched: folding, headers, bodies, HTML. RFC 5051, RFC 9051 §6.4.4."""

import time
from pathlib import Path

import pytest

from services.mail.mime import PartMap, scan
from services.mail.search.bodies import BodyText, text_of
from services.mail.search.folding import BREAK, fold
from services.mail.search.hypertext import Visible
from services.mail.search.texts import (
    field_values,
    fold_header,
    fold_inner,
    inner_headers,
    sent_day,
    text_parts,
)

SIZE = 1_000_000


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Straße", "STRAßE"),  # no simple titlecase mapping
        ("é", "E\u0301"),
        ("ﬁ", "FI"),
        ("ǆ", "DZ\u030c"),
        ("ა", "ა"),
        ("각", "각"),  # decomposed by arithmetic, which RFC 5051 does not ask for
        ("①", "1"),
        ("\u00a0", " "),
        (BREAK, "\ufffd"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold(folded) == folded
    assert fold(f"x{text}y") == f"X{folded}Y"


def test_a_header_in_groups() -> None:
    header = b"From x\r\nA: 1\r\nSubject: =?utf-8?q?=C3=A9?=\r\n a\r\n\tb\r\na : 2\r\nno field\r\n\r\n"
    folded = fold_header(header) + fold_inner(iter([b"A: inner\r\n", b""]))
    assert folded == "\nA: 1\rA: 2\nSUBJECT: E\u0301 A B\n\uffff\rFROM X\rNO FIELD\n\uffff\rA: INNER"
    assert field_values(folded, "A") == [" 1", " 2"]
    assert field_values(folded, "SUBJECT") == [" E\u0301 A B"]
    assert field_values(folded, "") is None
    assert field_values(folded, "SUB") is None


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (b"Thu, 1 Jan 1970 23:00:00 -0900", 0),
        (b"2 jan 70 00:00 EST", 1),
        (b"31 Dec 1969 10:00", -1),
        (b"Thu, 32 Jan 1970 00:00:00 +0000", None),
        (b"", None),
        (b"x" * 100_000, None),
    ],
)
def test_the_day_as_it_is_written(value: bytes, day: int | None) -> None:
    assert sent_day(b"Date: %b\r\n\r\n" % value) == day


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("<p>a &lt; b</p><b>c</b>d", "a < b cd"),
        ("a<br>b<!-- c --><style>d</style><SCRIPT>e</sCript >f", "a b f"),
        ("x < y & z <3 &copy", "x < y & z <3 ©"),
        ("<title>t</title>\r\n\r\n  body&nbsp;text", "t body text"),
        ("<script>never ends", ""),
        ("<unclosed", "<unclosed"),
    ],
)
def test_html_is_what_is_seen(source: str, seen: str) -> None:
    assert Visible().feed(source, is_last=True).strip() == seen
    pieces = Visible()
    cut = "".join([pieces.feed(letter) for letter in source]) + pieces.feed("", is_last=True)
    assert cut.strip() == seen


@pytest.mark.parametrize(
    "unit", ["<", "<a ", "<!--", "<script>", "&", "<style></style", "<p>", "-->", "</", "&#"]
)
def test_html_costs_what_its_octets_cost(unit: str) -> None:
    """Attacks 20: ten times as much takes about ten times as long, and not a hundred times."""

    def seconds(size: int) -> float:
        visible, text = Visible(), unit * (size // len(unit))
        began = time.process_time()
        for start in range(0, len(text), 32_768):
            visible.feed(text[start : start + 32_768])
        visible.feed("", is_last=True)
        return time.process_time() - began

    assert seconds(SIZE) < 40 * max(seconds(SIZE // 10), 0.002)


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_how_a_body_is_cut_makes_no_difference(cut: int, corpus: list[Path]) -> None:
    """Over every text part of the real messages."""
    parts = 0
    for path in corpus:
        octets = path.read_bytes()
        for part in text_parts(PartMap.decode(scan(octets).parts, 0)):
            header, body = octets[part.header_start : part.body_start], octets[part.body_start : part.end]
            if cut == 1 and len(body) > 20_000:
                continue
            reader = BodyText(part, header)
            pieces = [
                piece
                for place in range(0, len(body), cut)
                for piece in reader.feed(body[place : place + cut])
            ]
            pieces += reader.finish()
            together = "".join([text for text, _ in pieces]), "".join([seen for _, seen in pieces])
            assert together == text_of(part, header, body), path
            parts += 1
    assert parts > 50


def test_a_message_of_very_many_parts_is_bounded() -> None:
    """Attacks 20."""
    octets = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nX: y\r\n\r\nz\r\n" * 20_000
    parts = PartMap.decode(scan(octets).parts, 0)
    assert len(text_parts(parts)) == len(inner_headers(parts)) == 1000
