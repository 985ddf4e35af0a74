"""Names of mailboxes have one spelling."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import InvalidName
from services.mail.store.mailboxes import MAX_DEPTH, MAX_NAME_OCTETS, canonical_name


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("inbox", "INBOX"),
        ("InBoX/Work", "INBOX/Work"),
        ("Work/inbox", "Work/inbox"),
        ("inboxes", "inboxes"),
        ("Work/", "Work"),
        ("Cafe\u0301", "Caf\xe9"),
        ("a.b", "a.b"),
        ("...", "..."),
        (" ", " "),
        ("\u0131nbox", "\u0131nbox"),
        ("&AOk-", "&AOk-"),
    ],
)
def test_a_name_has_one_spelling(name: str, canonical: str) -> None:
    """RFC 9051 §5.1: INBOX without case, and Unicode composed."""
    assert canonical_name(name) == canonical


@pytest.mark.parametrize("name", ["", "/", "/a", "a//b", "a//", ".", "..", "a/../b", "a/.", "*", "a%b"])
def test_empty_and_dotted_components_and_wildcards_are_refused(name: str) -> None:
    """RFC 9051 §5.1, §6.3.9."""
    with pytest.raises(InvalidName):
        canonical_name(name)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\x7f", "a\x85", "\u2028", "\u2029", "\ud800"])
def test_what_is_no_printable_text_is_refused(name: str) -> None:
    """RFC 9051 §5.1, RFC 5198 §2."""
    with pytest.raises(InvalidName):
        canonical_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "/".join(["x" * 200] * 5),
        "x" * 256,
        "/".join(["x"] * (MAX_DEPTH + 1)),
        "/".join("x" * 1000),
        "\u20ac" * 334,
    ],
)
def test_what_is_too_long_or_too_deep_is_refused(name: str) -> None:
    """Octets count, not characters."""
    with pytest.raises(InvalidName):
        canonical_name(name)


def test_the_longest_and_deepest_names_are_taken() -> None:
    """A limit has a lower bound too."""
    longest = "/".join(["x" * 255, "y" * 255, "z" * 255, "w" * (MAX_NAME_OCTETS - 3 * 256)])
    assert canonical_name(longest) == longest
    deepest = "/".join(["x"] * MAX_DEPTH)
    assert canonical_name(deepest) == deepest


@given(st.text(max_size=40))
def test_a_spelling_is_its_own_spelling(name: str) -> None:
    """Canonical once is canonical for ever, whatever the text."""
    try:
        canonical = canonical_name(name)
    except InvalidName:
        return
    assert canonical_name(canonical) == canonical
    assert unicodedata.is_normalized("NFC", canonical)
    canonical.encode()
