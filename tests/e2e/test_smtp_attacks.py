"""attacks.md 1 to 11 at the SMTP door and at LMTP's: each with its commands one by one, and all in one write.

What takes minutes, or settings of its own, is in `tests/unit/smtp/test_door.py` and `tests/transcripts/smtp`.
"""

import imaplib
import socket
import ssl
from collections.abc import Iterator
from typing import Self
from uuid import uuid4

import pytest

from tests.e2e.system import PATIENCE, System

EVIL = b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<%b>\r\nDATA\r\nhidden\r\n.\r\n"


class Client:
    """One that has heard the greeting. is_pipelining: whether `say` waits for no answer but the last."""

    def __init__(self, port: int, is_pipelining: bool) -> None:
        self.peer: socket.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.file = self.peer.makefile("rb")
        self.is_pipelining = is_pipelining
        assert self.reply().startswith(b"220 ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.peer.close()

    def reply(self) -> bytes:
        """The last line of the next reply; empty at the end."""
        while (line := self.file.readline())[3:4] == b"-":
            pass
        return line

    def say(self, *commands: bytes) -> list[bytes]:
        """Sends lines; the codes of their replies."""
        if self.is_pipelining:
            self.peer.sendall(b"".join(command + b"\r\n" for command in commands))
            return [self.reply()[:9].rstrip() for _ in commands]
        codes = []
        for command in commands:
            self.peer.sendall(command + b"\r\n")
            codes.append(self.reply()[:9].rstrip())
        return codes

    def begin(self, recipient: str, *parameters: bytes) -> None:
        """Up to 354."""
        mail = b" ".join((b"MAIL FROM:<bob@example.net>", *parameters))
        codes = self.say(mail, b"RCPT TO:<%b>" % recipient.encode(), b"DATA")
        assert [code[:3] for code in codes] == [b"250", b"250", b"354"], codes

    def send(self, octets: bytes) -> bytes:
        """Octets of a message: all at once, or a few at a time; its reply."""
        step = len(octets) if self.is_pipelining else 3
        for at in range(0, len(octets), step):
            self.peer.sendall(octets[at : at + step])
        return self.reply()[:9].rstrip()


@pytest.fixture(params=["one by one", "pipelined"])
def client(system: System, request: pytest.FixtureRequest) -> Iterator[Client]:
    """Said EHLO."""
    with Client(system.smtp_port, request.param == "pipelined") as opened:
        opened.peer.sendall(b"EHLO client.example\r\n")
        assert opened.reply().startswith(b"250 ")
        yield opened


@pytest.fixture
def alice(system: System) -> str:
    """Somebody new, with the password `secret`."""
    address = f"{uuid4().hex}@{system.account.partition('@')[2]}"
    system.add_account(address, "secret")
    return address


def kept(system: System, address: str) -> list[bytes]:
    """What lies in INBOX."""
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as imap:
        imap.login(address, "secret")
        if imap.select("INBOX", readonly=True)[1] == [b"0"]:
            return []
        return [row[1] for row in imap.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n.\r\r\n"]
)
def test_a_hidden_letter_stays_hidden(system: System, client: Client, alice: str, end: bytes) -> None:
    """attacks 1, CVE-2023-51764: one letter, one refusal, nothing kept, and the session goes on."""
    client.begin(alice)
    octets = b"Subject: x\r\n\r\nseen" + end + EVIL % alice.encode()
    # What is hidden ends in the true end of what hides it.
    assert client.send(octets) == b"550 5.6.0"
    assert client.say(b"NOOP") == [b"250 2.0.0"]
    assert kept(system, alice) == []


def test_chunks_are_as_long_as_they_say(system: System, client: Client, alice: str) -> None:
    """attacks 2, RFC 3030 §2: dots and commands in a chunk are content, DATA behind one is refused, RSET forgets."""
    to = b"RCPT TO:<%b>" % alice.encode()
    hidden = b"\r\n.\r\n" + EVIL % alice.encode()
    assert client.say(b"MAIL FROM:<bob@example.net>", to) == [b"250 2.1.0", b"250 2.1.5"]
    assert client.send(b"BDAT %d\r\n%b" % (len(hidden), hidden)) == b"250 2.0.0"
    assert client.say(b"DATA") == [b"503 5.5.1"]
    assert client.say(b"RSET") == [b"250 2.0.0"]
    assert kept(system, alice) == []
    assert client.say(b"MAIL FROM:<bob@example.net>", to) == [b"250 2.1.0", b"250 2.1.5"]
    assert client.send(b"BDAT %d LAST\r\n%b" % (len(hidden), hidden)) == b"250 2.0.0"
    (copy,) = kept(system, alice)
    assert copy.endswith(hidden)
    assert client.say(b"MAIL FROM:<bob@example.net>", to) == [b"250 2.1.0", b"250 2.1.5"]
    assert len(kept(system, alice)) == 1


def test_who_pipelines_before_it_was_offered_is_sent_away(system: System) -> None:
    """attacks 3, RFC 2920 §3.1."""
    for early in (b"HELO client.example\r\nMAIL FROM:<a@example.net>\r\n", b"NOOP\r\nNOOP\r\n"):
        with Client(system.smtp_port, is_pipelining=True) as client:
            client.peer.sendall(early)
            answers = client.file.read()
            assert answers.splitlines()[-1].startswith(b"554 5.5.0")


def test_what_was_sent_behind_starttls_never_happened(system: System, client: Client, alice: str) -> None:
    """attacks 4, CVE-2011-0411: the octets behind the command are dropped, and the state with them."""
    assert client.say(b"MAIL FROM:<evil@example.net>") == [b"250 2.1.0"]
    client.peer.sendall(
        b"STARTTLS\r\n" + (b"RCPT TO:<%b>\r\n" % alice.encode() if client.is_pipelining else b"")
    )
    assert client.reply().startswith(b"220 ")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.file.close()
    client.peer = context.wrap_socket(client.peer)
    client.file = client.peer.makefile("rb")
    assert client.say(b"RCPT TO:<%b>" % alice.encode()) == [b"503 5.5.1"]
    assert client.say(b"EHLO client.example")[0][:3] == b"250"
    assert client.say(b"RCPT TO:<%b>" % alice.encode()) == [b"503 5.5.1"]


@pytest.mark.parametrize("verb", [b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"CONNECT mx:25 HTTP/1.1"])
def test_a_browser_is_sent_away(client: Client, verb: bytes) -> None:
    """attacks 5."""
    client.peer.sendall(verb + b"\r\nHost: mx\r\n\r\nMAIL FROM:<evil@example.net>\r\n")
    assert client.reply().startswith(b"554 5.5.0")
    assert client.file.read() == b""


def test_a_long_command_is_refused_and_a_long_line_carried(
    system: System, client: Client, alice: str
) -> None:
    """attacks 6, RFC 5321 §4.5.3.1."""
    assert client.say(b"NOOP " + b"x" * 5000, b"NOOP") == [b"500 5.5.2", b"250 2.0.0"]
    client.begin(alice)
    line = b"y" * 5000
    assert client.send(b"\r\n" + line + b"\r\n.\r\n") == b"250 2.0.0"
    assert kept(system, alice)[0].endswith(b"\r\n\r\n" + line + b"\r\n")


def test_a_recipient_too_many_is_put_off(client: Client, alice: str) -> None:
    """attacks 7, RFC 5321 §4.5.3.1.10: those before it get the letter."""
    to = b"RCPT TO:<%b>" % alice.encode()
    codes = client.say(b"MAIL FROM:<bob@example.net>", *[to] * 101)
    assert codes == [b"250 2.1.0"] + [b"250 2.1.5"] * 100 + [b"452 4.5.3"]
    assert client.say(b"DATA") == [b"354 End d"]
    assert client.send(b"x\r\n.\r\n") == b"250 2.0.0"


def test_a_size_over_the_limit_is_refused_at_mail(client: Client) -> None:
    """attacks 8, RFC 1870 §6.1; a liar is in `tests/unit/smtp/test_door.py`."""
    assert client.say(
        b"MAIL FROM:<bob@example.net> SIZE=104857601", b"MAIL FROM:<bob@example.net> SIZE=10"
    ) == [
        b"552 5.3.4",
        b"250 2.1.0",
    ]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (b'""@example.org', b"501"),
        (b"a@b@example.org", b"501"),
        (b"a\0b@example.org", b"501"),
        (b"a b@example.org", b"501"),
        (b"a..b@example.org", b"501"),
        (b"a@-example.org", b"501"),
        ("\u00e4@example.org".encode(), b"553"),
        (b"\xff@example.org", b"501"),
        (b"a%example.com@example.org", b"553"),
        (b"example.com!a@example.org", b"553"),
        (b'"a@example.com"@example.org', b"553"),
        (b"", b"501"),
    ],
)
def test_what_is_no_address_of_one_person_is_refused(client: Client, address: bytes, code: bytes) -> None:
    """attacks 9, RFC 5321 §4.1.2."""
    codes = client.say(b"MAIL FROM:<bob@example.net>", b"RCPT TO:<%b>" % address, b"NOOP")
    assert [each[:3] for each in codes] == [b"250", code, b"250"]


def test_a_source_route_is_dropped_and_postmaster_needs_no_domain(
    system: System, client: Client, alice: str
) -> None:
    """attacks 9, RFC 5321 §4.1.1.3, §4.5.1."""
    route = b"RCPT TO:<@a.example,@b.example:%b>" % alice.encode()
    assert client.say(b"MAIL FROM:<@c.example:bob@example.net>", route, b"RCPT TO:<Postmaster>") == [
        b"250 2.1.0",
        b"250 2.1.5",
        b"250 2.1.5",
    ]
    assert client.say(b"DATA")[0][:3] == b"354"
    assert client.send(b"x\r\n.\r\n") == b"250 2.0.0"
    (copy,) = kept(system, alice)
    assert copy.startswith(b"Return-Path: <bob@example.net>\r\nDelivered-To: %b\r\n" % alice.encode())


def test_nobody_relays(client: Client) -> None:
    """attacks 10: a domain that is not ours."""
    codes = client.say(b"MAIL FROM:<bob@example.net>", b"RCPT TO:<victim@elsewhere.example>", b"NOOP")
    assert codes == [b"250 2.1.0", b"554 5.7.1", b"250 2.0.0"]


def test_a_loop_ends_and_a_null_sender_is_taken(system: System, client: Client, alice: str) -> None:
    """attacks 11, RFC 5321 §6.3, §4.5.5: Delivered-To of ours is no loop, since we forward nothing."""
    client.begin(alice)
    received = b"Received: from a by b; Mon, 2 Nov 2026 10:00:00 +0000\r\n"
    assert client.send(received * 101 + b"\r\n.\r\n") == b"554 5.4.6"
    assert client.say(b"MAIL FROM:<>", b"RCPT TO:<%b>" % alice.encode()) == [b"250 2.1.0", b"250 2.1.5"]
    assert client.say(b"DATA")[0][:3] == b"354"
    own = b"Delivered-To: %b\r\n" % alice.encode()
    assert client.send(own * 3 + received * 100 + b"\r\nx\r\n.\r\n") == b"250 2.0.0"
    (copy,) = kept(system, alice)
    assert copy.startswith(b"Return-Path: <>\r\n")


def test_lmtp_is_no_weaker(system: System, alice: str) -> None:
    """attacks 1, 2, 9, 10, 11, a reply for each recipient that was taken."""
    for is_pipelining in (False, True):
        with Client(system.lmtp_port, is_pipelining) as client:
            client.peer.sendall(b"LHLO client.example\r\n")
            assert client.reply().startswith(b"250 ")
            to = b"RCPT TO:<%b>" % alice.encode()
            assert client.say(
                b"MAIL FROM:<bob@example.net>", to, b"RCPT TO:<a@b@c>", b"RCPT TO:<a@elsewhere.example>", to
            ) == [b"250 2.1.0", b"250 2.1.5", b"501 5.1.3", b"554 5.7.1", b"250 2.1.5"]
            assert client.say(b"DATA")[0][:3] == b"354"
            assert client.send(b"seen\n.\n" + EVIL % alice.encode()) == b"550 5.6.0"
            assert client.reply().startswith(b"550 5.6.0")
            assert client.say(b"NOOP") == [b"250 2.0.0"]
    assert kept(system, alice) == []
