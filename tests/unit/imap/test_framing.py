"""Where commands end, whatever the pieces they come in."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.imap.framing import (
    Command,
    Continue,
    Event,
    Framing,
    Limits,
    MessageChunk,
    MessageEnd,
    MessageStart,
    Refused,
)

SMALL = Limits(line=64, command=200, message=1000, discard=500)


def events(pieces: Iterable[bytes], limits: Limits = SMALL) -> list[Event]:
    """All events; messages are let in, and their chunks joined."""
    framing, found = Framing(limits), list[Event]()
    for piece in pieces:
        framing.receive(piece)
        while (event := framing.next_event()) is not None:
            if isinstance(event, MessageStart):
                framing.accept()
            last = found[-1] if found else None
            if isinstance(event, MessageChunk) and isinstance(last, MessageChunk):
                event = MessageChunk(last.octets + event.octets)
                found.pop()
            found.append(event)
            if isinstance(event, Refused) and event.fatal:
                return found
    return found


DIALOGUES = [
    b"a1 NOOP\r\na2 LOGIN {3}\r\nbob {4+}\r\na\r\nb\r\na3 NOOP\r\n",
    b"a1 APPEND {5}\r\nINBOX (\\Seen) {6+}\r\nx: y\r\n\r\na2 NOOP\r\n",
    b"a1 APPEND INBOX {3}\r\n{5} {2}\r\na2 X\r\n",
    b"a1 LOGIN {3}\r\n{5}\r\na2 X\r\n",
    b"a1 " + b"x" * 70 + b" {5+}\r\nabcde tail\r\na2 NOOP\r\n",
    b"a1 X {90+}\r\n"
    + b"y" * 90
    + b" {90+}\r\n"
    + b"z" * 90
    + b" {90+}\r\n"
    + b"w" * 90
    + b"\r\na2 NOOP\r\n",
    b"a1 X {300}\r\na2 NOOP\r\n",
    b"a1 X {99999}\r\na2 NOOP\r\na3 Y {99999+}\r\n",
    b"x" * 2000,
]


@pytest.mark.parametrize("octets", DIALOGUES)
@given(data=st.data())
def test_pieces_do_not_matter(octets: bytes, data: st.DataObject) -> None:
    """RFC 9051 §2.2.1."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=12)))
    pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    assert events(pieces) == events([octets]) == events(octets[i : i + 1] for i in range(len(octets)))


def test_literals_stand_in_the_command_as_they_came() -> None:
    """RFC 9051 §4.3."""
    assert events([DIALOGUES[0]]) == [
        Command(b"a1 NOOP"),
        Continue(),
        Command(b"a2 LOGIN {3}\r\nbob {4+}\r\na\r\nb"),
        Command(b"a3 NOOP"),
    ]


def test_a_mark_inside_a_literal_is_content() -> None:
    """RFC 9051 §4.3."""
    assert events([DIALOGUES[3]])[1:] == [Command(b"a1 LOGIN {3}\r\n{5}"), Command(b"a2 X")]


def test_the_message_of_append_streams_and_its_mailbox_does_not() -> None:
    """RFC 9051 §6.3.12."""
    assert events([DIALOGUES[1]]) == [
        Continue(),
        MessageStart(b"a1 APPEND {5}\r\nINBOX (\\Seen) {6+}", 6, False),
        MessageChunk(b"x: y\r\n"),
        MessageEnd(b""),
        Command(b"a2 NOOP"),
    ]


def test_a_refused_message_leaves_the_next_command_in_its_place() -> None:
    """RFC 7888 §4."""
    framing = Framing(SMALL)
    framing.receive(b"a1 APPEND INBOX {6+}\r\nx: y\r\n\r\na2 APPEND INBOX {6}\r\na3 NOOP\r\n")
    for tag in (b"a1", b"a2"):
        event = framing.next_event()
        assert isinstance(event, MessageStart)
        assert event.octets.startswith(tag)
        framing.refuse()
    assert framing.next_event() == Command(b"a3 NOOP")


def test_too_much_is_refused_before_it_is_asked_for() -> None:
    """RFC 7888 §4: a synchronizing literal gets no `+`, and its octets never come."""
    assert events([DIALOGUES[6]]) == [Refused(b"a1", "Command too large"), Command(b"a2 NOOP")]


def test_too_much_that_comes_anyway_is_read_past() -> None:
    """RFC 7888 §4."""
    assert events([DIALOGUES[4]]) == [Refused(b"a1", "Command line too long"), Command(b"a2 NOOP")]
    assert events([DIALOGUES[5]]) == [Refused(b"a1", "Command too large"), Command(b"a2 NOOP")]


def test_what_is_read_past_is_bounded() -> None:
    """RFC 7888 §4: BYE is allowed where discarding is not reasonable."""
    assert events([DIALOGUES[7]])[-1] == Refused(b"a3", "Literal too large", fatal=True)
    last = events([DIALOGUES[8]])[-1]
    assert isinstance(last, Refused)
    assert last.fatal


def test_memory_stays_flat_while_an_endless_line_comes() -> None:
    framing = Framing(Limits(line=100, command=100, discard=10**9))
    for _ in range(1000):
        framing.receive(b"x" * 1000)
        assert framing.next_event() is None
        assert framing.waiting <= 1100


def test_a_raw_line_is_bounded() -> None:
    """RFC 9051 §6.2.2."""
    framing = Framing()
    framing.receive(b"DO")
    assert framing.next_line(10) is None
    framing.receive(b"NE\r\na1 NOOP\r\n")
    assert framing.next_line(10) == b"DONE"
    assert framing.next_event() == Command(b"a1 NOOP")
    framing.receive(b"y" * 20)
    with pytest.raises(ValueError, match="too long"):
        framing.next_line(10)
