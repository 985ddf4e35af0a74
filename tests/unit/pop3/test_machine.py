"""The state machine alone: any cut of the octets gives the same commands, and nothing grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.errors import ProtocolError
from services.mail.pop3.commands import ALL, Command, State
from services.mail.pop3.connection import BAD_AFTER_LOGIN, BAD_BEFORE_LOGIN, MAX_LINE, Connection


def taken(machine: Connection) -> list[Command | str]:
    """Everything that can be taken now; a refusal as its text."""
    found: list[Command | str] = []
    while True:
        try:
            command = machine.next()
        except ProtocolError as error:
            found.append(error.detail)
            continue
        if command is None:
            return found
        found.append(command)


OVERLONG = b"x" * (MAX_LINE + 5) + b"\r\n"
LINES = st.lists(
    st.sampled_from(
        [b"STAT\r\n", b"retr 1\r\n", b"TOP 1 2\n", b"\r\n", OVERLONG, b"LIST\r\n", b"R\0\r\n", b"QUI"]
    )
)


@given(LINES, st.lists(st.integers(1, 3000)))
def test_commands_do_not_depend_on_how_octets_arrive(lines: list[bytes], sizes: list[int]) -> None:
    """RFC 2449 §6.6, PIPELINING."""
    wire = b"".join(lines)
    whole, piecewise = Connection(), Connection()
    whole.state = piecewise.state = State.TRANSACTION
    whole.receive(wire)
    wanted = taken(whole)
    found: list[Command | str] = []
    for size in [*sizes, len(wire)]:
        piecewise.receive(wire[:size])
        wire = wire[size:]
        found += taken(piecewise)
    assert found == wanted


def test_a_line_without_end_is_forgotten_as_it_comes() -> None:
    """Memory stays flat, and the command behind the line is taken."""
    machine = Connection()
    for _ in range(10_000):
        machine.receive(b"x" * 1000)
        assert machine.next() is None
        assert len(machine._buffer) <= MAX_LINE
    machine.receive(b"\r\nQUIT\r\n")
    assert taken(machine) == ["line too long", Command("QUIT")]


@pytest.mark.parametrize("length", [1, 200, 900])
def test_a_password_is_the_rest_of_its_line(length: int) -> None:
    """RFC 1939 §7: spaces are part of it; so are octets that are no ASCII."""
    password = (" pä s ".encode() * length)[:length] + b" "
    machine = Connection()
    machine.receive(b"PASS " + password + b"\r\n")
    assert taken(machine) == [Command("PASS", text=password)]


def test_start_tls_forgets_what_came_in_plain_text() -> None:
    """RFC 2595 §4, CVE-2011-0411."""
    machine = Connection()
    machine.receive(b"STLS\r\nUSER eve\r\nPASS x\r\n")
    assert machine.next() == Command("STLS")
    machine.user = b"mallory"
    machine.reset()
    assert (taken(machine), machine.user) == ([], b"")


@pytest.mark.parametrize(
    ("state", "most"), [(State.AUTHORIZATION, BAD_BEFORE_LOGIN), (State.TRANSACTION, BAD_AFTER_LOGIN)]
)
def test_bad_commands_are_counted(state: State, most: int) -> None:
    """A peer that is only wrong is sent away."""
    machine = Connection()
    machine.state = state
    machine.receive(b"what\r\n" * (most - 1))
    taken(machine)
    assert not machine.is_exhausted
    machine.receive(b"what\r\n")
    taken(machine)
    assert machine.is_exhausted


def test_upcoming_looks_ahead_without_taking() -> None:
    """RETR in whole lines, past DELE and NOOP and past nothing else."""
    machine = Connection()
    machine.state = State.TRANSACTION
    machine.receive(b"RETR 1\r\nretr 2\r\nNOOP\r\nRETR 3\r\nDELE 1\r\nRETR 4\r\nRSET\r\nRETR 5\r\n")
    assert next(machine.upcoming()) == 1
    assert list(machine.upcoming()) == [1, 2, 3, 4]
    names = [each.name for each in taken(machine) if isinstance(each, Command)]
    assert names == ["RETR", "RETR", "NOOP", "RETR", "DELE", "RETR", "RSET", "RETR"]
    machine.receive(b"RETR 1\r\nRETR x\r\nRETR 2\r\n")
    assert list(machine.upcoming()) == [1]
    assert len(taken(machine)) == 3
    machine.receive(b"RETR 5")
    assert list(machine.upcoming()) == []


def test_list_without_a_number_means_all() -> None:
    """LIST 0 is a number, and none that a message has. RFC 1939 §5."""
    machine = Connection()
    machine.state = State.TRANSACTION
    machine.receive(b"LIST\r\nLIST \r\nLIST 0\r\n")
    assert taken(machine) == [Command("LIST"), Command("LIST", ALL), Command("LIST", 0)]
