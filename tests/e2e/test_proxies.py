"""The whole system behind Debian's haproxy, and in front of peers that only pretend: attacks 13.

The rule: the proxy connects from PROXY, its clients come from CLIENT, and everybody else from 127.0.0.1; all of them
are on this machine, so whoever is told apart is told apart by address alone.
"""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from services.cli.store import CliSettings
from services.plumbing.rpc import client
from tests.e2e.system import System, await_that, running
from tests.e2e.wire import DOORS, GREETINGS, Wire
from tests.tools import need

PROXY, CLIENT = "127.0.0.9", "127.0.0.77"
VERSIONS = {"v1": "send-proxy", "v2": "send-proxy-v2 proxy-v2-options unique-id,crc32c"}
HAPROXY = """
defaults
  mode tcp
  timeout connect 30s
  timeout client 60s
  timeout server 60s
"""


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose doors believe PROXY, and nobody else."""
    proxies = {f"{door}_PROXIES": f"{PROXY}/32, 2001:db8::/32" for door in ("SMTP", "IMAP", "POP3")}
    with running(tmp_path_factory.mktemp("fronted") / "home", **proxies) as system:
        yield system


@pytest.fixture(scope="module")
def ports(fronted: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], int]]:
    """haproxy's port for each door and version; it is given them open, so that nobody else can take them."""
    haproxy = need("haproxy", "haproxy")
    config = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    with ExitStack() as stack:
        listening = {
            (name, version): stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            for name in DOORS
            for version in VERSIONS
        }
        text = HAPROXY
        for (name, version), each in listening.items():
            door = f"127.0.0.1:{fronted.port(*DOORS[name])}"
            text += f"listen {name}-{version}\n  bind fd@{each.fileno()}\n  unique-id-format %[uuid()]\n"
            text += f"  server door {door} source {PROXY} {VERSIONS[version]}\n"
        config.write_text(text)
        process = subprocess.Popen(
            [haproxy, "-f", str(config), "-db"], pass_fds=[each.fileno() for each in listening.values()]
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        yield {key: each.getsockname()[1] for key, each in listening.items()}


def peers(system: System) -> list[tuple[str, str]]:
    """The open sessions as operators see them: door and address."""

    async def ask() -> list[tuple[str, str]]:
        settings = CliSettings(home=system.home, storage=system.grpc_target)
        async with client.connect(settings) as store:
            return [(each.door, each.peer) for each in await store.sessions.list()]

    return asyncio.run(ask())


def log_in(wire: Wire, door: str, system: System) -> None:
    """Greeting and login, by IMAP or POP3."""
    assert wire.line().startswith(GREETINGS[door])
    if door.startswith("imap"):
        wire.ask(f'a LOGIN "{system.account}" "{system.password}"', b"a OK")
    else:
        wire.ask(f"USER {system.account}", b"+OK")
        wire.ask(f"PASS {system.password}", b"+OK")


def read_letter(system: System, subject: str) -> bytes:
    """The head of a letter, by IMAP and without a proxy."""
    with Wire(system.imap_port, "127.0.0.1") as wire:
        log_in(wire, "imap", system)
        wire.ask("b SELECT INBOX", b"b OK")
        found = wire.ask(f"c SEARCH SUBJECT {subject}", b"* SEARCH").split()
        wire.peer.sendall(b"d FETCH %b BODY.PEEK[HEADER]\r\n" % found[2])
        head = b""
        while not (line := wire.line()).startswith(b"d OK"):
            assert line
            head += line
        return head


def send_letter(wire: Wire, system: System, hello: str = "EHLO") -> str:
    """Sends one after the greeting; its subject."""
    subject = uuid4().hex
    wire.ask(f"{hello} client.example", b"250 ")
    wire.ask("MAIL FROM:<bob@example.net>", b"250 ")
    wire.ask(f"RCPT TO:<{system.account}>", b"250 ")
    wire.ask("DATA", b"354 ")
    wire.ask(f"From: bob@example.net\r\nSubject: {subject}\r\n\r\nhello\r\n.", b"250 ")
    return subject


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("tls", [False, True])
def test_a_letter_through_haproxy_is_received_from_the_client(
    fronted: System, ports: dict[tuple[str, str], int], version: str, tls: bool
) -> None:
    """The address of the Received line is the client's; TLS is the door's own, through the proxy."""
    with Wire(ports["smtp", version], CLIENT) as wire:
        assert wire.line().startswith(b"220 ")
        if tls:
            wire.ask("EHLO client.example", b"250 ")
            wire.ask("STARTTLS", b"220 ")
            context = ssl.create_default_context(cafile=str(fronted.certificate))
            context.check_hostname = False
            wire.peer = context.wrap_socket(wire.peer)
            wire.file = wire.peer.makefile("rb")
        head = read_letter(fronted, send_letter(wire, fronted))
    word = b"ESMTPS" if tls else b"ESMTP"
    assert b"Received: from client.example ([%b])\r\n" % CLIENT.encode() in head
    assert b" with %b id " % word in head


@pytest.mark.parametrize("version", VERSIONS)
def test_a_letter_by_lmtp_through_haproxy_is_received_from_the_client(
    fronted: System, ports: dict[tuple[str, str], int], version: str
) -> None:
    """RFC 2033: it is the client that has to be in a trusted network, and it is told in Received."""
    with Wire(ports["lmtp", version], CLIENT) as wire:
        assert wire.line().startswith(b"220 ")
        head = read_letter(fronted, send_letter(wire, fronted, "LHLO"))
    assert b"Received: from client.example ([%b])\r\n" % CLIENT.encode() in head
    assert b" with LMTP id " in head
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    with Wire(fronted.port(*DOORS["lmtp"]), PROXY, first=header) as wire:
        assert not wire.line().startswith(b"220 ")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("door", ["imap", "imaps", "pop3", "pop3s"])
def test_a_session_through_haproxy_is_the_clients(
    fronted: System, ports: dict[tuple[str, str], int], door: str, version: str
) -> None:
    """On the TLS ports the header comes before the handshake."""
    with Wire(ports[door, version], CLIENT, tls=door.endswith("s")) as wire:
        log_in(wire, door, fronted)
        shown = (DOORS[door][0], CLIENT)
        await_that(lambda: shown in peers(fronted), "the session is not listed under its client's address")
    await_that(lambda: shown not in peers(fronted), "the session did not end with its client")


def test_haproxys_own_checks_are_served(fronted: System, tmp_path: Path) -> None:
    """A health check comes as LOCAL: the door greets the proxy itself, and haproxy finds it up."""
    haproxy = need("haproxy", "haproxy")
    stats = tmp_path / "stats"
    text = f"global\n  stats socket {stats}\n{HAPROXY}"
    with ExitStack() as stack:
        held = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        text += f"listen checked\n  bind fd@{held.fileno()}\n  option tcp-check\n"
        for door, greeting in (("smtp", "220"), ("imap", "[*] OK"), ("pop3", "[+]OK")):
            text += f"  tcp-check connect default port {fronted.port(door)} send-proxy\n"
            text += f'  tcp-check expect rstring "^{greeting}"\n'
        text += f"  server door 127.0.0.1:{fronted.smtp_port} source {PROXY} send-proxy-v2 check inter 100\n"
        (tmp_path / "haproxy.cfg").write_text(text)
        process = subprocess.Popen(
            [haproxy, "-f", str(tmp_path / "haproxy.cfg"), "-db"], pass_fds=[held.fileno()]
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        await_that(stats.exists, "haproxy does not start")

        def status() -> str:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.connect(str(stats))
                asked.sendall(b"show stat checked -1 -1\n")
                rows = asked.makefile().read().splitlines()
            names = rows[0].removeprefix("# ").split(",")
            rows = [row for row in rows if row.startswith("checked,door,")]
            return dict(zip(names, rows[0].split(","), strict=True))["check_status"].removeprefix("* ")

        await_that(lambda: status().startswith("L7"), "haproxy has not checked")
        assert status() == "L7OK"


@pytest.mark.parametrize("door", DOORS)
def test_whoever_comes_from_the_proxys_address_must_say_its_header(fronted: System, door: str) -> None:
    """attacks 13: required from a trusted network, so a peer there that skips it is not served."""
    port = fronted.port(*DOORS[door])
    for first in (b"EHLO client.example\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", b"\x16\x03\x01\x00\x05"):
        with Wire(port, PROXY, first=first) as wire:
            assert wire.line() == b""
    with Wire(port, PROXY, door.endswith("s"), b"PROXY TCP4 127.0.0.77 127.0.0.1 4711 25\r\n") as wire:
        assert wire.line().startswith(GREETINGS[door])


@pytest.mark.parametrize(
    "header", [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n!\x11\0\x0c" + bytes(12)]
)
@pytest.mark.parametrize("door", DOORS)
def test_nobody_else_may_say_a_header(fronted: System, door: str, header: bytes) -> None:
    """attacks 13: from another address it is what the protocol takes it for, and never believed."""
    port = fronted.port(*DOORS[door])
    if door.endswith("s"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            Wire(port, CLIENT, tls=True, first=header)
        return
    with Wire(port, CLIENT, first=header) as wire:
        heard = [wire.line(), wire.line()]
    refusals = {
        "smtp": (b"554 ", b"500 "),
        "lmtp": (b"554 ", b"500 "),
        "imap": (b"PROXY BAD ", b"* BAD "),
        "pop3": (b"-ERR ",),
    }
    assert any(line.startswith(refusals[door]) for line in heard), heard


def test_a_letter_of_ipv6_is_received_from_its_address(fronted: System) -> None:
    """RFC 5321 §4.1.3: the tag IPv6, whatever family the socket is of."""
    with Wire(fronted.smtp_port, PROXY, first=b"PROXY TCP6 2001:db8:0::7 2001:db8::8 4711 25\r\n") as wire:
        assert wire.line().startswith(b"220 ")
        head = read_letter(fronted, send_letter(wire, fronted))
    assert b"Received: from client.example ([IPv6:2001:db8::7])\r\n" in head
