"""Arguments: what is written in any form is read back, and nothing else is anything but a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap import commands, registry
from services.mail.errors import MailError, ProtocolError
from services.mail.imap.arguments import MAX_DEPTH, MAX_NUMBER, MAX_NUMBER64, Arguments
from services.mail.imap.framing import Command, Framing, Limits
from tests.fuzz.share import share

assert commands.FAMILIES

Tree = bytes | list["Tree"]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.one_of(
        st.binary(max_size=12).filter(lambda octets: b"\0" not in octets),
        st.text("abcXYZ019.-_]~", min_size=1, max_size=8).map(str.encode),
        st.text('"\\ ab(){}%*', max_size=8).map(str.encode),
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)
SPECIAL = frozenset(b'(){%*"\\') | frozenset(range(33)) | frozenset(range(127, 256))


def write(tree: Tree, draw: st.DrawFn) -> bytes:
    """The tree in one of the forms that the grammar has for it. RFC 9051 §4.3."""
    if isinstance(tree, list):
        return b"(" + b" ".join(write(each, draw) for each in tree) + b")"
    forms = [
        b"{%d}\r\n%b" % (len(tree), tree),
        b"{%d+}\r\n%b" % (len(tree), tree),
        b"~{%d}\r\n%b" % (len(tree), tree),
    ]
    if not set(tree) & set(b"\r\n\0"):
        forms.append(b'"' + tree.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"')
    # A tilde at the beginning would be a literal8's if a brace followed; none does.
    if tree and not set(tree) & SPECIAL:
        forms.append(tree)
    return draw(st.sampled_from(forms))


def read(args: Arguments) -> Tree:
    """One argument that is a string or a list."""
    return args.list_of(lambda: read(args)) if args.peek() == b"(" else args.astring()


@st.composite
def written(draw: st.DrawFn) -> tuple[list[Tree], bytes]:
    """Some trees, and a command that has them as its arguments."""
    trees = draw(st.lists(TREES, min_size=1, max_size=4))
    return trees, b"t1 " + b" ".join(write(tree, draw) for tree in trees)


@given(written())
def test_what_is_written_is_read_back(both: tuple[list[Tree], bytes]) -> None:
    """RFC 9051 §4: however strings are spelt, and through framing as well."""
    trees, octets = both
    framing = Framing(Limits(line=10_000, command=100_000))
    framing.receive(octets + b"\r\n")
    events = list(iter(framing.next_event, None))
    assert events[-1] == Command(octets)
    args = Arguments(octets)
    assert args.tag() == b"t1"
    assert [read(args) for _ in trees] == trees
    args.end()


WORDS = st.sampled_from(
    [
        *(b" ", b"(", b")", b'"', b"\\", b"*", b"%", b"$", b"[", b"]", b"=", b"\xff", b"\0", b"\r\n", b"NIL"),
        *(b"{3}\r\nabc", b"{0+}\r\n", b"~{2}\r\n\0x", b"{5}", b"INBOX", b"&AOk-", b"IMAP4rev2", b"PLAIN"),
        *(b"1", b"0", b"4294967295", b"4294967296", b"9223372036854775807", b"9223372036854775808"),
        *(b"1:*", b"2,4:3", b"(1 2", b"<1.2>", b"9" * 5000, b"1-Jan-2001", b'"01-Jan-2001 00:00:00 +0000"'),
        *(b"FLAGS", b"+FLAGS.SILENT", b"\\Seen", b"(\\Deleted $x)", b"BODY", b"HEADER.FIELDS", b"MODSEQ"),
        *(b"ALL", b"OR", b"NOT", b"UID", b"CHARSET", b"UTF-8", b"RETURN", b"(SAVE)", b"UNCHANGEDSINCE"),
        *(b"CHANGEDSINCE", b"VANISHED", b"QRESYNC", b"CONDSTORE", b"SUBSCRIBED", b"STATUS", b"USE", b"\\Sent"),
    ]
)  # fmt: skip
ANYTHING = st.one_of(
    st.lists(WORDS, max_size=10).map(b" ".join),
    st.lists(WORDS, max_size=12).map(b"".join),
    st.binary(max_size=40),
)


@pytest.mark.parametrize("is_uid_form", [False, True])
@share(1)
@given(ANYTHING, st.sampled_from(sorted(registry.ROWS)))
def test_no_arguments_of_any_command_are_anything_but_a_refusal(
    is_uid_form: bool, octets: bytes, name: str
) -> None:
    """RFC 9051 §7.1: BAD or NO, whatever was sent."""
    row = registry.ROWS[name]
    prefix = b"UID " if is_uid_form and row.uid_form else b""
    args = Arguments(b"t1 %b%b %b" % (prefix, name.encode(), octets))
    assert args.tag() == b"t1"
    assert registry.read_verb(args)[0] is row
    try:
        row.kind.parse(args)
        args.end()
    except (ProtocolError, MailError):
        return


@given(st.integers(0, 2**70), st.sampled_from([MAX_NUMBER, MAX_NUMBER64]), st.integers(0, 25))
def test_a_number_is_what_it_says_or_refused(number: int, most: int, zeros: int) -> None:
    """attacks 17; RFC 9051 §9 (number, number64), RFC 7162 §7 (mod-sequence-value)."""
    octets = b"0" * zeros + b"%d" % number
    if number > most:
        with pytest.raises(ProtocolError):
            Arguments(octets).number(most=most)
    elif len(octets) <= 19:
        assert Arguments(octets).number(most=most) == number


@given(st.integers(0, 200))
def test_nesting_ends_at_its_depth(depth: int) -> None:
    """attacks 15."""
    args = Arguments(b"(" * depth + b"x" + b")" * depth)
    if depth > MAX_DEPTH:
        with pytest.raises(ProtocolError, match="nested too deeply"):
            read(args)
    else:
        read(args)
        args.end()
