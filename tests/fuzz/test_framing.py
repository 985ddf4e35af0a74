"""Framing: whatever is said, and however it is cut, each command is found once and in its place."""

from collections.abc import Iterable
from itertools import pairwise

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
from tests.fuzz.share import share
from tests.fuzz.spoken import Literal, Spoken, conversations, literals, spoken, words

SMALL = Limits(line=64, command=200, message=300, discard=500)
WIDE = Limits(line=10_000, command=100_000, message=100_000, discard=100_000)
COMMANDS = conversations(spoken(st.one_of(words(40), literals(120)), [b"NOOP", b"FETCH", b"LOGIN"]), 6)
APPENDS = conversations(
    spoken(literals(150), [b"APPEND INBOX", b"append {5+}\r\ninbox (\\Seen)", b"APPEND", b"X"]), 5
)
OCTETS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"a1 ",
                b"\r\n",
                b"\n",
                b"{5}\r\n",
                b"{5+}\r\n",
                b"hello",
                b"{300+}\r\n",
                b"{99999}",
                b"~{3}\r\n",
            ]
        ),
        st.sampled_from(
            [b"APPEND ", b"INBOX ", b"x" * 70, b"z" * 300, b"\0", b"\xff", b"{0+}\r\n", b"{", b"}"]
        ),
    ),
    max_size=20,
).map(b"".join)
CUTS = st.lists(st.integers(0, 2000), max_size=10)


def pieces(octets: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The same octets, cut at these places."""
    places = sorted({min(cut, len(octets)) for cut in cuts} | {0, len(octets)})
    return [octets[a:b] for a, b in pairwise(places)]


def take(framing: Framing, found: list[Event], accepts: bool) -> bool:
    """All events that there are now; chunks of a message are joined. False once the stream is at its end."""
    while (event := framing.next_event()) is not None:
        if isinstance(event, MessageStart):
            framing.accept() if accepts else framing.refuse()
        last = found[-1] if found else None
        if isinstance(event, MessageChunk) and isinstance(last, MessageChunk):
            event = MessageChunk(last.octets + event.octets)
            found.pop()
        found.append(event)
        if isinstance(event, Refused) and event.fatal:
            return False
    return True


def events(parts: Iterable[bytes], accepts: bool) -> list[Event]:
    """What framing makes of octets in these pieces, whose sender waits for nothing."""
    framing, found = Framing(SMALL), list[Event]()
    for part in parts:
        framing.receive(part)
        if not take(framing, found, accepts):
            break
        assert framing.waiting <= SMALL.command + len(part)
    return found


@given(OCTETS, CUTS, st.booleans())
def test_however_octets_are_cut_the_events_are_the_same(
    octets: bytes, cuts: list[int], accepts: bool
) -> None:
    """RFC 9051 §2.2.1: the commands are a matter of octets, not of packets."""
    whole = events([octets], accepts)
    assert events(pieces(octets, cuts), accepts) == whole
    assert events([octets[place : place + 1] for place in range(len(octets))], accepts) == whole


def converse(commands: list[Spoken], limits: Limits, cuts: list[int], accepts: bool) -> list[list[Event]]:
    """What a client that keeps to the rules hears to each of its commands; ends with the stream."""
    framing, heard = Framing(limits), list[list[Event]]()
    for command in commands:
        found: list[Event] = []
        heard.append(found)
        for part in command.parts():
            for piece in pieces(part, cuts):
                framing.receive(piece)
                if not take(framing, found, accepts):
                    return heard
            last = found[-1] if found else None
            if isinstance(last, (Refused, MessageEnd)) or (isinstance(last, MessageStart) and not accepts):
                break  # it is answered
    return heard


@given(COMMANDS, CUTS)
def test_commands_come_out_as_they_went_in(commands: list[Spoken], cuts: list[int]) -> None:
    """RFC 9051 §4.3, RFC 7888 §4."""
    for command, found in zip(commands, converse(commands, WIDE, cuts, True), strict=True):
        assert found == [Continue()] * command.waits + [Command(command.octets)]


@share(2)
@given(COMMANDS, CUTS)
def test_each_command_has_one_outcome_and_the_next_is_in_its_place(
    commands: list[Spoken], cuts: list[int]
) -> None:
    """attacks 14: what is too large is refused once, and nothing of it is taken for a command."""
    heard = converse(commands, SMALL, cuts, True)
    for command, found in zip(commands, heard, strict=False):
        *before, last = found
        assert all(isinstance(event, Continue) for event in before)
        if isinstance(last, Refused):
            assert last.tag == command.tag
        else:
            assert last == Command(command.octets)
            assert len(command.octets) <= SMALL.command
    is_over = isinstance(heard[-1][-1], Refused) and heard[-1][-1].fatal
    assert is_over or len(heard) == len(commands)


@given(APPENDS, CUTS, st.booleans())
def test_a_message_is_let_in_or_passed_and_nothing_of_it_is_a_command(
    commands: list[Spoken], cuts: list[int], accepts: bool
) -> None:
    """RFC 9051 §6.3.12."""
    for command, found in zip(commands, converse(commands, WIDE, cuts, accepts), strict=True):
        starts = [event for event in found if isinstance(event, MessageStart)]
        whole = [event for event in found if isinstance(event, Command)]
        assert len(starts) + len(whole) == 1, found
        if whole:
            assert whole == [Command(command.octets)]
            continue
        assert starts[0].octets == command.octets[: len(starts[0].octets)]
        if accepts:
            place = len(starts[0].octets) + 2
            message = b"".join(event.octets for event in found if isinstance(event, MessageChunk))
            assert message == command.octets[place : place + starts[0].size]
            assert isinstance(found[-1], MessageEnd)


@given(OCTETS, CUTS, st.integers(5, 80))
def test_raw_lines_are_the_same_however_they_are_cut(octets: bytes, cuts: list[int], limit: int) -> None:
    """RFC 9051 §6.2.2: what AUTHENTICATE and IDLE read."""

    def lines(parts: list[bytes]) -> list[bytes | None]:
        framing, found = Framing(), list[bytes | None]()
        for part in parts:
            framing.receive(part)
            try:
                while (line := framing.next_line(limit)) is not None:
                    assert len(line) <= limit + 1
                    found.append(line)
            except ValueError:
                return [*found, None]
        return found

    assert lines(pieces(octets, cuts)) == lines([octets])


def test_a_literal_is_said_as_it_is_meant() -> None:
    """The client of these tests: what it sends is what the command is."""
    command = Spoken(b"a", [b"a LOGIN ", Literal(b"x\r\n", True), b" ", Literal(b"y", False)])
    assert b"".join(command.parts()) == command.octets + b"\r\n"
    assert command.parts() == [b"a LOGIN {3}\r\n", b"x\r\n {1+}\r\ny\r\n"]
