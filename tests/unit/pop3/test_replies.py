"""Octets on the wire: dots, line ends, cuts, refusals."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail import errors
from services.mail.pop3 import replies

BODIES = st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"..", b"\r\n.\r\n"])).map(b"".join)


def cut(body: bytes, at: list[int]) -> list[bytes]:
    """The body in chunks."""
    edges = [0, *sorted(min(each, len(body)) for each in at), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def unstuffed(wire: bytes) -> bytes:
    """What a client makes of a multi-line reply. RFC 1939 §3."""
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
    lines = wire[: -len(b".\r\n")].split(b"\r\n")
    assert b"." not in lines
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


@given(BODIES, st.lists(st.integers(0, 60)))
def test_a_client_gets_the_same_octets_however_they_were_cut(body: bytes, at: list[int]) -> None:
    """RFC 1939 §3; a message without a last line end gets one on the wire only."""
    stuffing = replies.DotStuffing()
    wire = b"".join(stuffing.feed(chunk) for chunk in cut(body, at)) + stuffing.end()
    assert wire == replies.stuffed(body)
    assert unstuffed(wire) == (body if not body or body.endswith(b"\r\n") else body + b"\r\n")


@given(BODIES, st.integers(0, 5), st.integers(0, 8), st.lists(st.integers(0, 60)))
def test_top_cuts_behind_the_same_line_however_the_message_was_cut(
    body: bytes, header: int, lines: int, at: list[int]
) -> None:
    """RFC 1939 §7."""
    header = min(header, len(body))
    wanted = body[:header] + b"".join(re.findall(rb"[^\n]*\n|[^\n]+\Z", body[header:])[:lines])
    top = replies.TopLines(header, lines)
    assert b"".join(top.feed(chunk) for chunk in cut(body, at)) == wanted


@pytest.mark.parametrize("kind", [each for each in errors.TABLE if errors.TABLE[each].pop3 is not None])
def test_every_refusal_is_one_short_line_with_its_code(kind: type[errors.MailError]) -> None:
    """RFC 2449 §4 and §8: at most 512 octets; the code in brackets."""
    code = errors.TABLE[kind].pop3
    line = replies.refusal(kind("bad\r\n+OK injected " + "x" * 10_000))
    assert line.startswith(f"-ERR [{code}] ".encode() if code else b"-ERR bad")
    assert line.count(b"\n") == 1
    assert len(line) <= 512


def test_a_bug_is_told_as_temporary_and_nothing_else() -> None:
    """style: a neutral temporary reply."""
    assert replies.refusal(KeyError("secret")) == b"-ERR [SYS/TEMP] Internal error, try again later\r\n"


def test_response_codes_are_of_the_registry() -> None:
    """RFC 2449 §8.1, RFC 3206 §4."""
    known = {None, "", "IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM", "AUTH"}
    assert {each.pop3 for each in errors.TABLE.values()} <= known
