"""Arguments: the grammar, and that nothing else gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import InvalidArgument, InvalidName, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.fetch.items import FetchItems
from services.mail.imap.responses import string
from services.mail.imap.search import keys


def test_every_form_of_a_string_means_the_same() -> None:
    """RFC 9051 §4.3."""
    for form in (b"abc", b'"abc"', b"{3}\r\nabc", b"{3+}\r\nabc", b"~{3}\r\nabc"):
        args = Arguments(form + b" x")
        assert args.astring() == b"abc"
        assert args.astring() == b"x"
        args.end()


@given(st.binary(max_size=60))
def test_what_is_written_as_a_string_is_read_back(octets: bytes) -> None:
    """RFC 9051 §4.3."""
    if b"\0" not in octets:
        assert Arguments(string(octets)).string() == octets


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b" ",
        b'"abc',
        b'"a\\b"',
        b'"a\0b"',
        b"{3}\r\na\0b",
        b"a\0b",
        b"(",
        b"x  y",
        b"x y z",
        b'"x"y z',
        b"\xff x",
    ],
)
def test_two_strings_are_nothing_else(octets: bytes) -> None:
    args = Arguments(octets)

    def read() -> None:
        args.astring()
        args.astring()
        args.end()

    with pytest.raises(ProtocolError):
        read()


def test_quotes_and_backslashes_are_escaped() -> None:
    """RFC 9051 §9, quoted."""
    assert Arguments(b'"a \\"b\\" \\\\"').string() == b'a "b" \\'


def test_a_date_time_is_seconds_since_1970() -> None:
    """RFC 9051 §9, date-time."""
    assert Arguments(b'" 1-Feb-2003 04:05:06 +0100"').date_time() == 1_044_068_706
    assert Arguments(b'"17-jul-1996 02:44:25 -0700"').date_time() == 837_596_665
    # What is in the year 10000 for UTC could not be told again.
    assert Arguments(b'"31-Dec-9999 23:59:60 -1200"').date_time() == 253_402_300_799
    for wrong in (
        b'"31-Feb-2003 04:05:06 +0100"',
        b'"01-Feb-2003 24:05:06 +0100"',
        b'"01-Foo-2003 04:05:06 +0100"',
    ):
        with pytest.raises(ProtocolError):
            Arguments(wrong).date_time()


def test_flags_come_in_their_usual_case() -> None:
    """RFC 9051 §2.3.2."""
    assert Arguments(b"(\\SEEN $Work)").flags() == ("\\Seen", "$Work")
    assert Arguments(b"\\seen \\Deleted").flags() == ("\\Seen", "\\Deleted")
    assert Arguments(b"()").flags() == ()
    with pytest.raises(InvalidArgument):
        Arguments(b"(\\Recent)").flags()


def test_nesting_is_bounded() -> None:
    keys.parse(Arguments(b"(" * 40 + b"ALL" + b")" * 40))
    for deep in (b"(" * 60 + b"ALL" + b")" * 60, b"(" * 100_000, b"NOT " * 100_000 + b"ALL"):
        with pytest.raises(ProtocolError, match="nested too deeply"):
            keys.parse(Arguments(deep))


def test_a_list_is_bounded() -> None:
    """attacks 15: ten thousand elements are read, and one more is refused at once."""
    assert len(Arguments(b"(" + b"x " * 9_999 + b"x)").flags()) == 10_000
    for endless in (b"(" + b"x " * 10_000 + b"x)", b"(" + b"x " * 10_001 + b"\xff"):
        args = Arguments(endless)
        with pytest.raises(ProtocolError, match="too many"):
            args.list_of(args.astring)
        with pytest.raises(ProtocolError, match="too many"):
            Arguments(endless).flags()
    with pytest.raises(ProtocolError, match="too many"):
        Arguments(b"x " * 10_001 + b"\xff").flags()


@given(st.text('()ab"\\{}[]<>.0123 \r\nBODYPEK:,*%&-', max_size=40))
def test_no_octets_raise_anything_but_a_refusal(text: str) -> None:
    octets = text.encode()
    for read in (
        lambda args: args.numbers(),
        lambda args: args.mailbox(),
        lambda args: args.list_mailbox(),
        lambda args: args.flags(),
        lambda args: args.date_time(),
        lambda args: args.message_size(),
        FetchItems.parse,
        keys.parse,
    ):
        try:
            read(Arguments(octets))
        except (ProtocolError, InvalidName, InvalidArgument):
            continue


@pytest.mark.parametrize(
    "items",
    [
        *(
            b"BODY[",
            b"BODY[MIME]",
            b"BODY[0]",
            b"BODY[1.]",
            b"BODY[]<1>",
            b"BODY[]<1.0>",
            b"BODY[HEADER.FIELDS ()]",
        ),
        *(b"BODY[TEXTX]", b"(UID ALL)", b"BODY.PEEK", b"FLAGS[]", b"BODY[1.HEADER.FIELDS]", b"()"),
        b"(" + b"UID " * 2000 + b"UID)",
    ],
)
def test_items_that_are_none_are_refused(items: bytes) -> None:
    """RFC 9051 §6.4.5."""

    def parse() -> None:
        args = Arguments(items)
        FetchItems.parse(args)
        args.end()

    with pytest.raises(ProtocolError):
        parse()


def test_a_section_is_named_in_the_answer_as_it_was_asked() -> None:
    """RFC 9051 §7.5.2."""
    args = Arguments(b"(body.peek[1.2.header.fields (Subject {2}\r\nTo)]<7.9> rfc822 BODY[] BODY.PEEK[])")
    items = FetchItems.parse(args)
    args.end()
    assert [section.label for section in items.sections] == [
        b"BODY[1.2.HEADER.FIELDS (Subject To)]<7>",
        b"BODY[]",
        b"RFC822",
    ]
    assert items.sets_seen


@pytest.mark.parametrize("octets", [b"a+b NOOP", b"a* NOOP", b"a(b NOOP", b'a"b NOOP', b"+ NOOP", b" NOOP"])
def test_what_only_begins_like_a_tag_is_none(octets: bytes) -> None:
    """RFC 9051 §9 (tag): nobody is answered by a tag that was never sent."""
    with pytest.raises(ProtocolError):
        Arguments(octets).tag()
