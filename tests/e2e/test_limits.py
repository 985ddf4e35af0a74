"""attacks 7 and 24: hoards of connections and floods of them at every door, from made-up addresses behind a proxy.

The rule: the limits are so small that no machine is too slow for a test to reach them: a new connection is earned in
12 seconds by a network, in 20 by an address.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.system import System, await_that, running
from tests.e2e.wire import DOORS, GREETINGS, Wire

PROXY = "127.0.0.9"
SMALL = {
    "PROXIES": PROXY,
    "ADDRESS_CONNECTIONS": "2",
    "NETWORK_CONNECTIONS": "4",
    "ADDRESS_RATE": "3",
    "NETWORK_RATE": "5",
}
REFUSALS = {
    "smtp": b"421 4.7.0 Too many connections\r\n",
    "imap": b"* BYE [UNAVAILABLE] Too many connections\r\n",
    "pop3": b"-ERR [SYS/TEMP] Too many connections\r\n",
    "imaps": b"",
    "pop3s": b"",
}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that takes few connections."""
    settings = {f"{door}_{name}": value for door in ("SMTP", "IMAP", "POP3") for name, value in SMALL.items()}
    with running(tmp_path_factory.mktemp("narrow") / "home", **settings) as system:
        yield system


class Knocker:
    """Comes to one door from whatever address."""

    def __init__(self, system: System, door: str, stack: ExitStack) -> None:
        self._system = system
        self.door = door
        self._stack = stack
        # The ports of one process count together, so each has networks of its own.
        self.number = list(DOORS).index(door) + 1

    def knock(self, address: str) -> Wire | None:
        """A connection that was greeted; nothing if it was refused in the protocol's words, or without on TLS ports."""
        family = "TCP6" if ":" in address else "TCP4"
        header = f"PROXY {family} {address} {address} 1 2\r\n".encode()
        port = self._system.port(*DOORS[self.door])
        try:
            wire = self._stack.enter_context(Wire(port, PROXY, self.door.endswith("s"), header))
        except (OSError, EOFError):
            assert self.door.endswith("s")
            return None
        line = wire.line()
        if line.startswith(GREETINGS[self.door]):
            return wire
        assert line == REFUSALS[self.door]
        assert wire.line() == b""
        return None

    def visit(self, address: str) -> bool:
        """Whether a connection is greeted; it is closed again."""
        wire = self.knock(address)
        if wire is not None:
            wire.__exit__()
        return wire is not None

    def refused_by(self, network: str) -> set[str]:
        """The limits that the log names for peers of a network."""
        log = self._system.home / "logs" / f"{DOORS[self.door][0]}.log"
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        port = self._system.port(*DOORS[self.door])
        return {
            line["limit"]
            for line in lines
            if line["event"] == "connection refused"
            and line["port"] == port
            and line["peer"].startswith(network)
        }


@pytest.fixture(params=REFUSALS)
def knocker(narrow: System, request: pytest.FixtureRequest) -> Iterator[Knocker]:
    """For each door; whatever it leaves open is closed."""
    with ExitStack() as stack:
        yield Knocker(narrow, request.param, stack)


@pytest.mark.parametrize("network", ["192.0.{}.", "2001:db8:{}::"])
def test_an_address_holds_no_more_than_its_connections(knocker: Knocker, network: str) -> None:
    """attacks 24: whoever hoards is refused, others are not, and who leaves makes room."""
    address = network.format(knocker.number) + "1"
    held, _ = knocker.knock(address), knocker.knock(address)
    assert held is not None
    assert not knocker.visit(address)
    assert knocker.refused_by(address) == {"address_connections"}
    assert knocker.visit(f"198.51.{knocker.number}.{len(address)}")
    held.__exit__()
    await_that(lambda: knocker.visit(address), "whoever left takes up room")


def test_a_network_holds_no_more_than_its_connections(knocker: Knocker) -> None:
    """attacks 7: a /24 is one place, however many addresses it has."""
    network = f"203.0.{knocker.number}."
    held = [knocker.knock(f"{network}{n}") for n in (1, 1, 2, 2)]
    assert not knocker.visit(f"{network}3")
    assert knocker.refused_by(network) == {"network_connections"}
    assert held[0] is not None
    held[0].__exit__()
    await_that(lambda: knocker.visit(f"{network}3"), "whoever left takes up room")


def test_an_address_comes_no_oftener_than_its_rate(knocker: Knocker) -> None:
    """Connections that are closed at once count too, one after the other."""
    network = f"100.64.{knocker.number}."
    assert [knocker.visit(f"{network}1") for _ in range(4)] == [True, True, True, False]
    assert knocker.refused_by(network) == {"address_rate"}


def test_a_network_comes_no_oftener_than_its_rate(knocker: Knocker) -> None:
    """Each from an address of its own."""
    network = f"100.65.{knocker.number}."
    assert [knocker.visit(f"{network}{n}") for n in range(6)] == [True] * 5 + [False]
    assert knocker.refused_by(network) == {"network_rate"}


def test_this_machine_is_not_held_to_them(knocker: Knocker, narrow: System) -> None:
    """Whatever runs beside us comes from loopback."""
    with ExitStack() as stack:
        for _ in range(8):
            port = narrow.port(*DOORS[knocker.door])
            wire = stack.enter_context(Wire(port, "127.0.0.1", knocker.door.endswith("s")))
            assert wire.line().startswith(GREETINGS[knocker.door])
