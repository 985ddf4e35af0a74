"""Header fields by offset, unfolding, and the selections that IMAP asks for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.message import date, fields, header_size, message_id, select_fields, unfold, values

HEADER = b"Received: from a\r\n\tby b\r\nSubject: one\r\nno colon here\r\nsubject : two\r\n three\r\nX-Last: z\r\n\r\n"


def test_fields_are_found_with_their_folding() -> None:
    """RFC 5322 §2.2.3."""
    found = [(name, HEADER[start:end]) for name, start, end in fields(HEADER)]
    assert found == [
        (b"received", b"Received: from a\r\n\tby b\r\n"),
        (b"subject", b"Subject: one\r\n"),
        (b"", b"no colon here\r\n"),
        (b"subject", b"subject : two\r\n three\r\n"),
        (b"x-last", b"X-Last: z\r\n"),
    ]


@pytest.mark.parametrize(
    ("octets", "size"),
    [
        (b"A: b\r\n\r\nbody", 8),
        (b"A: b\n\nbody", 6),
        (b"A: b\n\r\nbody", 7),
        (b"\r\nbody", 2),
        (b"\nbody", 1),
        (b"A: b\r\n", 6),
        (b"A: b", 4),
        (b"", 0),
    ],
)
def test_the_header_ends_behind_the_empty_line(octets: bytes, size: int) -> None:
    """RFC 5322 §2.1."""
    assert header_size(octets) == size


def test_values_are_unfolded_in_their_order() -> None:
    """RFC 5322 §2.2.3: unfolding removes the line end and nothing else."""
    assert values(HEADER, b"Subject") == [b"one", b"two three"]
    assert unfold(b" a\r\n\tb \r\n") == b"a\tb "


def test_message_id_and_date_are_the_first_ones() -> None:
    """RFC 5322 §3.6.1, §3.6.4."""
    header = b"Date: now \r\nMessage-ID:\r\n <a@b>\r\nMessage-ID: <c@d>\r\n\r\n"
    assert (message_id(header), date(header)) == (b"<a@b>", b"now")
    assert (message_id(b"\r\n"), date(b"")) == (b"", b"")


def test_selected_fields_keep_their_octets_and_end_in_an_empty_line() -> None:
    """RFC 9051 §6.4.5.1."""
    assert select_fields(HEADER, [b"SUBJECT", b"x-none"], inverse=False) == (
        b"Subject: one\r\nsubject : two\r\n three\r\n\r\n"
    )


def test_the_inverse_selection_keeps_everything_else() -> None:
    """RFC 9051 §6.4.5.1: HEADER.FIELDS.NOT."""
    assert select_fields(HEADER, [b"subject", b"received"], inverse=True) == (
        b"no colon here\r\nX-Last: z\r\n\r\n"
    )


def test_no_field_selected_is_an_empty_line() -> None:
    """RFC 9051 §6.4.5.1."""
    assert select_fields(HEADER, [b"x-none"], inverse=False) == b"\r\n"
    assert select_fields(b"\n", [b"x-none"], inverse=True) == b"\r\n"


@pytest.mark.parametrize(
    ("header", "expected"),
    [(b"", b""), (b"A: b\r\n", b""), (b"A: b\r\nC: d", b"C: d"), (b"C: d\n\n", b"C: d\n\r\n")],
)
def test_a_header_without_an_empty_line_gets_none(header: bytes, expected: bytes) -> None:
    """RFC 9051 §6.4.5.1: "except in the case of a message that has no body and no blank line"."""
    assert select_fields(header, [b"c"], inverse=False) == expected


def test_both_selections_together_are_the_header(message: bytes) -> None:
    """RFC 9051 §6.4.5.1: no field is lost and none comes twice."""
    header = message[: header_size(message)]
    names = {b"subject", b"to", b"content-type", b"received"}
    chosen = select_fields(header, names, inverse=False)
    others = select_fields(header, names, inverse=True)
    blank = len(header) - sum(end - start for _, start, end in fields(header))
    missing_ends = (chosen + others).count(b"\n") - header.count(b"\n")
    assert 0 <= blank <= 2
    assert missing_ends <= 4
    assert sorted(re.findall(rb"[^\r\n]+", chosen + others)) == sorted(re.findall(rb"[^\r\n]+", header))


@given(st.text(alphabet="a:\r\n \t", max_size=40))
def test_fields_follow_each_other_without_gaps(text: str) -> None:
    """RFC 5322 §2.2."""
    header = text.encode()
    position = 0
    for _, start, end in fields(header):
        assert start == position
        assert end > start
        position = end
    assert header[position:] == b"" or header[position:].startswith((b"\r\n", b"\n"))
