"""Address lists as ENVELOPE tells them, and the canonical form of an account's address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.address import (
    ENTRIES_LIMIT,
    GROUP_END,
    MISSING_DOMAIN,
    MISSING_MAILBOX,
    Entry,
    _read_unusual,
    canonical,
    entries,
    parse_mailbox,
)
from services.mail.errors import InvalidAddress


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a@b", [(None, None, b"a", b"b")]),
        (b"Alice  B. Example <a@b>", [(b"Alice B. Example", None, b"a", b"b")]),
        (b'"Example, \\"A\\"" <a@b>', [(b'Example, "A"', None, b"a", b"b")]),
        (b"=?utf-8?q?J=C3=B6rg?= <a@b>", [(b"=?utf-8?q?J=C3=B6rg?=", None, b"a", b"b")]),
        (b"a@b (Alice (the first))", [(b"Alice (the first)", None, b"a", b"b")]),
        (b"(remark) a@b", [(None, None, b"a", b"b")]),
        (b"<@x,@y:a@b>, c@d", [(None, b"@x,@y", b"a", b"b"), (None, None, b"c", b"d")]),
        (b'"a b"@c', [(None, None, b"a b", b"c")]),
        (b"a . b @ c . d", [(None, None, b"a.b", b"c.d")]),
        (b"a@[192.0.2.1]", [(None, None, b"a", b"[192.0.2.1]")]),
        (b"a@b,, ,c@d,", [(None, None, b"a", b"b"), (None, None, b"c", b"d")]),
        (b"G: a@b, C <c@d>;, e@f", [
            (None, None, b"G", None), (None, None, b"a", b"b"), (b"C", None, b"c", b"d"), GROUP_END,
            (None, None, b"e", b"f"),
        ]),
        (b"undisclosed recipients:;", [(None, None, b"undisclosed recipients", None), GROUP_END]),
        (b"G: a@b", [(None, None, b"G", None), (None, None, b"a", b"b"), GROUP_END]),
        (b"someone", [(None, None, b"someone", MISSING_DOMAIN)]),
        (b"some one", [(b"some one", None, MISSING_MAILBOX, MISSING_DOMAIN)]),
        (b"a@b <c@d>", [(b"a@b", None, b"c", b"d")]),
        (b"A <a@b, C <c@d>", [(b"A", None, b"a", b"b"), (b"C", None, b"c", b"d")]),
        (b"A <>", [(b"A", None, MISSING_MAILBOX, MISSING_DOMAIN)]),
        (b"", []),
        (b" , ;", []),
        (b"(only a remark)", []),
    ],
)  # fmt: skip
def test_an_address_list_is_read(value: bytes, expected: list[Entry]) -> None:
    """RFC 5322 §3.4, §4.4; RFC 9051 §7.5.2."""
    assert entries(value) == expected


WORDS = st.sampled_from(
    [
        b"a",
        b"b.c",
        b'"q r"',
        b"@",
        b"<",
        b">",
        b",",
        b" ",
        b";",
        b":",
        b"(",
        b")",
        b"\\",
        b'"',
        b"x@y",
        b"N <m@n>",
    ]
)


@given(st.lists(WORDS, max_size=12).map(b"".join))
def test_no_list_fails_and_groups_are_closed(value: bytes) -> None:
    """RFC 9051 §7.5.2: only groups have a NIL host, and each has an end."""
    found = entries(value)
    depth = 0
    for entry in found:
        if entry[3] is None:
            depth += 1 if entry[2] is not None else -1
        else:
            assert entry[2]
        assert depth in {0, 1}
    assert depth == 0


USUAL = st.sampled_from([b"a@b", b" c.d@e.f ", b"N  M <m@n>", b'"q" <r@s>', b"<t@u>"])


@given(st.lists(USUAL, max_size=6).map(b",".join))
def test_the_quick_reading_of_usual_lists_is_the_slow_one(value: bytes) -> None:
    """RFC 5322 §3.4."""
    slow: list[Entry] = []
    _read_unusual(value, 0, slow)
    assert entries(value) == slow


def test_entries_beyond_the_limit_are_dropped() -> None:
    """RFC 5322 sets no bound."""
    assert len(entries(b"a@b," * 5000)) == ENTRIES_LIMIT
    assert len(entries(b"g:" + b"<a@b>x," * 5000)) <= ENTRIES_LIMIT + 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("alice@example.org", "alice@example.org"),
        ("Alice@EXAMPLE.org", "alice@example.org"),
        ('"alice"@example.org', "alice@example.org"),
        ('"a b"@example.org', '"a b"@example.org'),
        ('"a\\"b"@example.org', '"a\\"b"@example.org'),
        ("postmaster@bücher.example", "postmaster@xn--bcher-kva.example"),
        ("JÖRG@example.org", "jörg@example.org"),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
        ("a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"),
        ("a+tag@example.org", "a+tag@example.org"),
    ],
)
def test_an_address_has_one_canonical_form(text: str, key: str) -> None:
    """RFC 5321 §2.4, §4.1.2; RFC 6531 §3.3."""
    assert canonical(parse_mailbox(text)) == key


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "a", "a@", "@b", '""@x', "a@b@c", "a b@c", "a..b@c", ".a@b", "a.@b", "a@b..c", "a@-b", "a@b-", "a\0@b",
        "a@b\r\n", "a\r\n@b", '"a\r\n"@b', "a@b c", "<a@b>", "a@[", "a@" + "b" * 64,
        "a" * 65 + "@b", "a@" + "b." * 200 + "c",
        "a@\ud800", "\ud800@b", "a@ü" + "ü" * 300, "a,b@c", 'a"b"@c', "a@b_c!",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    """RFC 5321 §4.1.2, §4.5.3.1."""
    with pytest.raises(InvalidAddress):
        parse_mailbox(text)


@given(st.text(max_size=30), st.sampled_from(["example.org", "b", "[192.0.2.1]"]))
def test_the_written_form_reads_back(local: str, domain: str) -> None:
    """RFC 5321 §4.1.2."""
    try:
        address = parse_mailbox(f"{local}@{domain}")
    except InvalidAddress:
        return
    assert parse_mailbox(str(address)) == address
    assert canonical(parse_mailbox(canonical(address))) == canonical(address)
