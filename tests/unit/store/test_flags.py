"""Flags as bits, and their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import InvalidArgument
from services.mail.store.flags import FIRST_KEYWORD_BIT, SYSTEM, canonical_flag, flag_bits, flag_names

atoms = st.text(st.sampled_from("abcdefgXYZ0189$_.-&+"), min_size=1, max_size=12)


def test_system_flags_are_known_in_any_case() -> None:
    """RFC 9051 §2.3.2."""
    assert canonical_flag("\\sEEn") == "\\Seen"
    assert {canonical_flag(name.upper()) for name in SYSTEM} == set(SYSTEM)


NO_FLAGS = ["", "\\Recent", "\\Starred", "\\", "a b", "a(", "a)", "a{", "a%", "a*", 'a"', "a\\b", "a]"]


@pytest.mark.parametrize("name", [*NO_FLAGS, "\xe9", "a\x7f", "a\0", "x" * 256])
def test_what_is_no_flag_is_refused(name: str) -> None:
    """RFC 9051 §9, flag-keyword is an atom; \\Recent is not the client's to set (§2.3.2)."""
    with pytest.raises(InvalidArgument):
        canonical_flag(name)


@pytest.mark.parametrize("name", ["$Forwarded", "NonJunk", "[gmail", "x" * 255, "a}b", "=?#"])
def test_an_atom_is_a_keyword(name: str) -> None:
    """RFC 9051 §2.3.2, and its spelling is kept."""
    assert canonical_flag(name) == name


@given(
    st.sets(st.sampled_from(sorted(SYSTEM))), st.lists(atoms, max_size=80, unique_by=str.casefold), st.data()
)
def test_names_become_bits_and_bits_names(system: set[str], keywords: list[str], data: st.DataObject) -> None:
    """Also for keywords beyond the 58 that fit in 64 bits."""
    chosen = data.draw(st.sets(st.sampled_from(keywords))) if keywords else set()
    bits, unknown = flag_bits([*system, *chosen], keywords)
    assert unknown == []
    assert set(flag_names(bits, keywords)) == system | chosen
    assert bits >> FIRST_KEYWORD_BIT == sum(1 << keywords.index(name) for name in chosen)


def test_keywords_are_compared_without_case_and_the_first_spelling_stays() -> None:
    """RFC 9051 §2.3.2."""
    bits, unknown = flag_bits(["FORWARDED", "new", "NEW"], ["Forwarded"])
    assert bits == 1 << FIRST_KEYWORD_BIT
    assert unknown == ["new"]
    assert flag_names(bits, ["Forwarded"]) == ["Forwarded"]


def test_a_hundred_thousand_new_names_are_looked_at_once_each() -> None:
    """attacks 15: comparing each with all before it would hold up everybody for hours."""
    names = [f"k{number}" for number in range(100_000)]
    assert flag_bits([*names, *map(str.upper, names)], ()) == (0, names)


def test_a_keyword_that_the_reader_does_not_know_yet_is_left_out() -> None:
    """A view's list of keywords may be older than a message's flags."""
    assert flag_names(1 << (FIRST_KEYWORD_BIT + 70), ["a"]) == []
