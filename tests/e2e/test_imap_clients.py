"""IMAP as curl and imaplib speak it, plain and over TLS, against the whole system."""

import imaplib
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import System
from tests.tools import need

LETTER = b"From: bob@example.org\r\nTo: alice@example.org\r\nSubject: hello\r\n\r\nHello, Alice.\r\n"
PASSWORD = 'imap "pass\\word" ä'


@pytest.fixture(scope="module")
def login(system: System) -> str:
    """An account for these tests, whose password needs quoting."""
    system.add_account("imap@imap.example.org", PASSWORD)
    return "imap@imap.example.org"


def context(system: System) -> ssl.SSLContext:
    """Trusts the system's own certificate, whatever name it carries."""
    trusting = ssl.create_default_context(cafile=str(system.certificate))
    trusting.check_hostname = False
    return trusting


def plain(system: System) -> imaplib.IMAP4:
    return imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=30)


def over_tls(system: System) -> imaplib.IMAP4:
    return imaplib.IMAP4_SSL("127.0.0.1", system.imaps_port, ssl_context=context(system), timeout=30)


def after_starttls(system: System) -> imaplib.IMAP4:
    client = plain(system)
    assert client.starttls(context(system))[0] == "OK"
    return client


@pytest.fixture(params=[plain, over_tls, after_starttls])
def client(request: pytest.FixtureRequest, system: System, login: str) -> Iterator[imaplib.IMAP4]:
    """imaplib, logged in, in an empty mailbox of the test's own."""
    connect: Callable[[System], imaplib.IMAP4] = request.param
    client = connect(system)
    client.authenticate("PLAIN", lambda _: f"\0{login}\0{PASSWORD}".encode())
    name = f"box-{time.monotonic_ns()}"
    assert client.create(name)[0] == "OK"
    assert client.select(name)[0] == "OK"
    yield client
    client.logout()


def current(client: imaplib.IMAP4) -> str:
    """The mailbox that the fixture made last."""
    listed: Any = client.list(pattern="box-*")[1]
    return str(listed[-1].split()[-1].decode())


def test_a_message_comes_back_as_it_went_in(client: imaplib.IMAP4) -> None:
    """RFC 9051 §6.3.12."""
    name = current(client)
    assert client.append(name, r"(\Flagged)", '"01-Feb-2003 04:05:06 +0100"', LETTER)[0] == "OK"
    client.noop()
    fetched: Any = client.fetch("1", "(FLAGS BODY.PEEK[])")[1]
    assert fetched[0][1] == LETTER
    assert b"\\Flagged" in fetched[0][0]
    structure: Any = client.fetch("1", "(ENVELOPE BODYSTRUCTURE INTERNALDATE)")[1][0]
    assert b'"hello"' in structure
    assert b'"01-Feb-2003 03:05:06 +0000"' in structure


def test_flags_copies_and_expunges(client: imaplib.IMAP4) -> None:
    """RFC 9051 §6.4."""
    name = current(client)
    for _ in range(3):
        client.append(name, None, None, LETTER)
    client.noop()
    assert client.copy("1:2", name)[0] == "OK"
    assert client.copy("1", "nowhere")[0] == "NO"
    client.store("2", "+FLAGS", r"(\Deleted)")
    assert client.search(None, "DELETED")[1] == [b"2"]
    assert client.expunge()[1] == [b"2"]
    assert client.uid("SEARCH", "ALL")[1] == [b"1 3 4 5"]


def test_curl_uploads_lists_and_reads(system: System, login: str, tmp_path: Path) -> None:
    """RFC 9051 §6.3.12."""
    curl = need("curl", "curl")
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER)
    config = tmp_path / "config"
    config.write_text('user = "{}:{}"\n'.format(login, PASSWORD.replace("\\", "\\\\").replace('"', '\\"')))

    def run(url: str, *words: str) -> bytes:
        command = [
            curl,
            "-sS",
            "--max-time",
            "30",
            "-K",
            str(config),
            "--cacert",
            str(system.certificate),
            *words,
            url,
        ]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    for base, words in (
        (f"imap://127.0.0.1:{system.imap_port}", ()),
        (f"imap://127.0.0.1:{system.imap_port}", ("--ssl-reqd", "-k")),
        (f"imaps://127.0.0.1:{system.imaps_port}", ("-k",)),
    ):
        run(f"{base}/INBOX", "-T", str(letter), *words)
        uids = run(f"{base}/INBOX?ALL", *words).split()[2:]
        assert run(f"{base}/INBOX;UID={uids[-1].decode()}", *words) == LETTER
        assert b"INBOX" in run(base, *words)
