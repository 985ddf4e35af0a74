"""Names and patterns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import InvalidName
from services.mail.imap.names import MAX_PATTERN, Pattern, decode, decode_utf8, encode


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


@given(st.text("inboxINBOX/%*", max_size=8), st.text("inboxINBOX/", max_size=8))
def test_inbox_is_met_in_any_case_and_nothing_else(pattern: str, rest: str) -> None:
    """RFC 9051 §5.1; and what a pattern matches begins as it says."""
    found = Pattern(pattern)
    for name in ("INBOX", f"INBOX/{rest}", f"x{rest}", f"in/{rest}", f"inboxes{rest}"):
        is_inbox = name == "INBOX" or name.startswith("INBOX/")
        spellings = {name, *(f"{head}{name[5:]}" for head in cases("inbox"))} if is_inbox else {name}
        assert found.matches(name) == any(slow(pattern, spelling) for spelling in spellings)
        assert not found.matches(name) or name.startswith(found.prefix)


def cases(word: str) -> set[str]:
    """All spellings of a word in capitals and small letters."""
    spellings = {""}
    for char in word:
        spellings = {spelling + each for spelling in spellings for each in (char, char.upper())}
    return spellings


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("Work/%", "Work/"),
        ("Work", "Work"),
        ("*", ""),
        ("a/*b", "a/"),
        ("inbox", "INBOX"),
        ("Inbox/x%", "INBOX/x"),
        ("inboxes", "inboxes"),
        ("IN%", "IN"),
        ("in%", ""),
        ("inbox*", ""),
        ("cafe\u0301*", "caf\xe9"),
    ],
)
def test_a_pattern_knows_how_its_names_begin(pattern: str, prefix: str) -> None:
    """So that only those are read."""
    assert Pattern(pattern).prefix == prefix


@pytest.mark.parametrize(
    ("octets", "name"), [(b"caf\xc3\xa9", "caf\xe9"), (b"a&b", "a&b"), (b"&AOk-", "&AOk-"), (b"", "")]
)
def test_a_client_that_enabled_it_says_names_in_utf_8(octets: bytes, name: str) -> None:
    """RFC 9051 §5.1."""
    assert decode_utf8(octets) == name


@pytest.mark.parametrize("octets", [b"\xe9", b"\xc0\xaf", b"\xed\xa0\xbd", b"\xf5\x80\x80\x80", b"\xe2\x82"])
def test_what_is_not_utf_8_is_no_name(octets: bytes) -> None:
    """RFC 3629 §4: overlong forms and surrogates among it."""
    with pytest.raises(InvalidName):
        decode_utf8(octets)


def test_hostile_patterns_cost_no_more_than_others() -> None:
    hostile = "*a%" * (MAX_PATTERN // 3)
    assert not Pattern(hostile).matches("a" * 600 + "b" * 1000)
    assert Pattern("%/" * 40 + "%").matches("/".join("a" * 20 for _ in range(41)))
    with pytest.raises(InvalidName):
        Pattern("*" * (MAX_PATTERN + 1))


@given(st.binary(max_size=30) | st.text("&-,AOkCGl2D0", max_size=12).map(str.encode))
def test_whatever_octets_come_they_are_one_name_or_none(octets: bytes) -> None:
    """attacks 21: no second spelling reaches the same name, and nothing but a refusal is raised."""
    try:
        name = decode(octets)
    except InvalidName:
        return
    assert encode(name) == octets
