"""ENVELOPE's address lists. RFC 9051 §7.5.2."""

from hypothesis import example, given
from hypothesis import strategies as st

from services.mail.mime.envelope import render_envelope

PIECES = st.sampled_from(
    [
        "a",
        "b c",
        '"',
        '"q d"',
        "@",
        "<",
        ">",
        ",",
        ";",
        ":",
        ".",
        " ",
        "(",
        ")",
        "[",
        "]",
        "x@y.test",
        "é",
        "\\",
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join))
@example('["]')
def test_a_list_is_written_alike_whether_or_not_it_is_plain(text: str) -> None:
    """A backslash behind everything makes a list special; the entries in front of it stay the same."""
    value = text.encode()
    plain = render_envelope([(b"to", value + b", end <end@list.test>")])
    special = render_envelope([(b"to", value + b", end <end@list.test>"), (b"to", b"\\")])
    end = b'("end" NIL "end" "list.test")'
    if end in plain and end in special:
        assert plain.partition(end)[0] == special.partition(end)[0]


def test_strings_of_addresses_are_quoted() -> None:
    envelope = render_envelope([(b"from", b'"A, B" <a@b.test>, c@d.test'), (b"reply-to", b"")])
    both = b'(("A, B" NIL "a" "b.test")(NIL NIL "c" "d.test"))'
    assert envelope == b"(NIL NIL %b %b %b NIL NIL NIL NIL NIL)" % (both, both, both)
