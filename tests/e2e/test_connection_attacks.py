"""attacks 7 and 24 at the doors of the whole system: who hurries too little, talks too much, or never reads.

The rule: nobody waits here by the clock. That time has passed is seen by what the door did to somebody else meanwhile.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.system import System, await_that
from tests.e2e.wire import GREETINGS, Wire
from tests.faults.cluster import door

CHATTER = {"smtp": b"NOOP\r\n", "imap": b"a CAPABILITY\r\n", "pop3": b"CAPA\r\n"}
FAREWELLS = {"imap": b"* BYE ", "pop3": b"-ERR "}
ENOUGH = {"imap": b"a OK ", "pop3": b"+OK"}


@contextmanager
def greeted(port: int, name: str) -> Iterator[Wire]:
    """A client behind its greeting."""
    with Wire(port, "127.0.0.1") as wire:
        assert wire.line().startswith(GREETINGS[name])
        yield wire


@pytest.fixture(params=["imap", "pop3"])
def hurried(system: System, request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A door that gives a second to log in: its name and its port."""
    with door(system, request.param, system.grpc_target, LOGIN_SECONDS="1") as ports:
        yield request.param, ports["port"]


def log_in(wire: Wire, name: str, account: str, password: str, answer: bytes = b"") -> None:
    """By IMAP or POP3; answer: how the last line begins."""
    if name == "imap":
        wire.ask(f'a LOGIN "{account}" "{password}"', answer or b"a OK ")
    else:
        wire.ask(f"USER {account}", b"+OK ")
        wire.ask(f"PASS {password}", answer or b"+OK ")


def await_farewell(wire: Wire, name: str) -> None:
    """Reads up to the end; the last line says why."""
    lines = [wire.line()]
    while lines[-1]:
        lines.append(wire.line())
    assert lines[-2].startswith(FAREWELLS[name]), lines[-3:]


def test_a_slow_login_ends_and_who_has_logged_in_stays(system: System, hurried: tuple[str, int]) -> None:
    """attacks 24: a client that came after the other had logged in is sent away before it."""
    name, port = hurried
    with greeted(port, name) as member:
        log_in(member, name, system.account, system.password)
        with greeted(port, name) as stranger:
            await_farewell(stranger, name)
        assert member.ask("a NOOP" if name == "imap" else "NOOP", ENOUGH[name])


def test_who_talks_all_the_time_has_no_more_of_it(hurried: tuple[str, int]) -> None:
    """attacks 24: the time to log in runs from the greeting, whatever is said meanwhile."""
    name, port = hurried
    with greeted(port, name) as chatterer:
        heard = b"-"
        while heard and not heard.startswith(FAREWELLS[name]):
            try:
                chatterer.peer.sendall(CHATTER[name])
            except ConnectionError:
                return
            heard = chatterer.line()


def say_forever(wire: Wire, octets: bytes) -> None:
    """Sends until that fails; TimeoutError if nothing is taken any more and the connection stays."""
    while True:
        wire.peer.sendall(octets)


@pytest.mark.parametrize("name", CHATTER)
def test_who_never_reads_is_cut_off(system: System, name: str) -> None:
    """attacks 24: nor does it help to have answers wait; and attacks 7 for SMTP, where nobody logs in."""
    setting = "IDLE_SECONDS" if name == "smtp" else "LOGIN_SECONDS"
    with (
        door(system, name, system.grpc_target, **{setting: "1"}) as ports,
        greeted(ports["port"], name) as stranger,
    ):
        if name == "smtp":
            stranger.ask("EHLO client.example", b"250 ")
        with pytest.raises(ConnectionError):
            say_forever(stranger, CHATTER[name] * 1000)


def test_a_login_to_a_maildrop_in_use_wins_no_time(system: System) -> None:
    """attacks 24, RFC 1939 §4: a right password without a session is no login."""
    with (
        door(system, "pop3", system.grpc_target, LOGIN_SECONDS="1") as ports,
        greeted(ports["port"], "pop3") as member,
        greeted(ports["port"], "pop3") as second,
    ):
        log_in(member, "pop3", system.account, system.password)
        log_in(second, "pop3", system.account, system.password, b"-ERR [IN-USE] ")
        await_farewell(second, "pop3")
        assert member.ask("STAT", b"+OK ")
    await_that(lambda: is_free(system), "the maildrop is not given back")


def is_free(system: System) -> bool:
    """Whether the account's maildrop can be opened."""
    with greeted(system.pop3_port, "pop3") as wire:
        wire.ask(f"USER {system.account}", b"+OK ")
        return b"IN-USE" not in wire.ask(f"PASS {system.password}", b"")


@pytest.mark.parametrize("name", ["imap", "pop3"])
def test_sasl_answers_have_12288_octets_and_no_more(system: System, name: str) -> None:
    """attacks 24, RFC 4954 §4: a long token is a client's right."""
    begin, go_on = b"a AUTHENTICATE PLAIN\r\n" if name == "imap" else b"AUTH PLAIN\r\n", b"+ "
    octets = base64.b64encode(b"\0nobody@example.org\0".ljust(12_284 * 3 // 4, b"x"))
    assert len(octets + b"\r\n") <= 12_288 < len(octets + b"\r\n") + 4
    with greeted(system.port(name), name) as wire:
        wire.peer.sendall(begin)
        assert wire.line().startswith(go_on)
        refused = (b"a NO [AUTHENTICATIONFAILED]", b"-ERR [AUTH]")
        assert wire.ask(octets.decode(), b"").startswith(refused)
        wire.peer.sendall(begin)
        assert wire.line().startswith(go_on)
        heard = wire.ask(octets.decode() * 2, b"")
        assert heard.startswith((b"a BAD ", b"* BAD ", b"* BYE ", b"-ERR "))
        assert not heard.startswith(refused)


@pytest.mark.parametrize("is_pipelined", [False, True])
def test_recipients_are_counted(system: System, is_pipelined: bool) -> None:
    """attacks 7, RFC 5321 §4.5.3.1.10: the hundred that were taken get the letter."""
    rcpt = f"RCPT TO:<{system.account}>"
    with greeted(system.smtp_port, "smtp") as wire:
        wire.ask("EHLO client.example", b"250 ")
        wire.ask("MAIL FROM:<bob@example.net>", b"250 ")
        if is_pipelined:
            wire.peer.sendall(f"{rcpt}\r\n".encode() * 102)
            answers = [wire.line() for _ in range(102)]
        else:
            answers = [wire.ask(rcpt, b"") for _ in range(102)]
        assert all(answer.startswith(b"250 ") for answer in answers[:100])
        assert all(answer.startswith(b"452 4.5.3 ") for answer in answers[100:])
        wire.ask("DATA", b"354 ")
        wire.ask("Subject: many\r\n\r\nhello\r\n.", b"250 ")


@pytest.mark.parametrize("is_pipelined", [False, True])
def test_the_twentieth_error_is_the_last(system: System, is_pipelined: bool) -> None:
    """attacks 7: nineteen are told one by one. How slowly is a setting, here none."""
    with (
        door(system, "smtp", system.grpc_target, ERROR_SECONDS="0") as ports,
        greeted(ports["port"], "smtp") as wire,
    ):
        wire.ask("EHLO client.example", b"250 ")
        if is_pipelined:
            wire.peer.sendall(b"XYZZY\r\n" * 25)
            answers = [wire.line() for _ in range(20)]
        else:
            answers = [wire.ask("XYZZY", b"") for _ in range(20)]
        assert all(answer.startswith(b"500 ") for answer in answers[:19])
        assert answers[19].startswith(b"421 4.7.0 ")
        assert wire.line() == b""
