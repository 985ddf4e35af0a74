"""Names and patterns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import InvalidName
from services.mail.imap.names import MAX_PATTERN, Pattern, decode, encode


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("a&b", b"a&-b"),
        ("é\u2003", b"&AOkgAw-"),
        ("😀", b"&2D3eAA-"),
    ],
)
def test_names_are_modified_utf_7(name: str, octets: bytes) -> None:
    """RFC 3501 §5.1.3."""
    assert encode(name) == octets
    assert decode(octets) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_encoded_is_decoded_to_the_same(name: str) -> None:
    assert decode(encode(name)) == name


@pytest.mark.parametrize(
    "octets",
    [b"&", b"&AGE-", b"&AOk", b"&AOk=-", b"&AOk-&AOk-", b"&2D0-", b"&A-", b"\xc3\xa9", b"&AOl-", b"a\x01"],
)
def test_a_second_spelling_is_refused(octets: bytes) -> None:
    """RFC 3501 §5.1.3: printable characters stand for themselves, and nothing is shifted twice in a row."""
    with pytest.raises(InvalidName):
        decode(octets)


def slow(pattern: str, name: str) -> bool:
    """The same question, put to a regular expression."""
    words = {"*": "(?:.|\n)*", "%": "[^/]*"}
    return re.fullmatch("".join(words.get(char) or re.escape(char) for char in pattern), name) is not None


@given(st.text("ab/%*", max_size=8), st.text("ab/", max_size=8))
def test_patterns_match_as_the_rfc_says(pattern: str, name: str) -> None:
    """RFC 9051 §6.3.9."""
    assert Pattern(pattern).matches(name) == slow(pattern, name)


def test_hostile_patterns_cost_no_more_than_others() -> None:
    hostile = "*a%" * (MAX_PATTERN // 3)
    assert not Pattern(hostile).matches("a" * 600 + "b" * 1000)
    assert Pattern("%/" * 40 + "%").matches("/".join("a" * 20 for _ in range(41)))
    with pytest.raises(InvalidName):
        Pattern("*" * (MAX_PATTERN + 1))
