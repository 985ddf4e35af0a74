"""Real POP3 clients against the whole system: poplib and curl, plain and with TLS."""

import poplib
import smtplib
import ssl
import subprocess
import uuid

import pytest

from tests.e2e.system import System
from tests.tools import need

PASSWORD = "pass word with spaces"


@pytest.fixture
def letter(system: System) -> tuple[str, bytes]:
    """An account of its own with one letter in it: its address, and a line of the letter's body."""
    address = f"pop3-{uuid.uuid4().hex}@example.org"
    system.add_account(address, PASSWORD)
    mark = uuid.uuid4().hex
    with smtplib.SMTP("127.0.0.1", system.smtp_port) as smtp:
        smtp.sendmail(
            "sender@example.net", [address], f"Subject: hello\r\n\r\n.a dot first\r\n{mark}\r\n".encode()
        )
    return address, mark.encode()


def trusting(system: System) -> ssl.SSLContext:
    """Trusts the system's own certificate, whatever name it was made for."""
    context = ssl.create_default_context(cafile=system.certificate)
    context.check_hostname = False
    return context


def connect(system: System, kind: str) -> poplib.POP3:
    """poplib over a plain port, after STLS, or on the TLS port."""
    if kind == "tls":
        return poplib.POP3_SSL("127.0.0.1", system.pop3s_port, context=trusting(system), timeout=30)
    client = poplib.POP3("127.0.0.1", system.pop3_port, timeout=30)
    if kind == "stls":
        client.stls(trusting(system))
    return client


@pytest.mark.parametrize("kind", ["plain", "stls", "tls"])
def test_poplib_reads_a_letter_and_removes_it(system: System, letter: tuple[str, bytes], kind: str) -> None:
    """RFC 1939 §10: the whole life of a letter."""
    address, mark = letter
    client = connect(system, kind)
    client.user(address)
    client.pass_(PASSWORD)
    assert client.stat()[0] == 1
    _, lines, _ = client.retr(1)
    assert lines[-2:] == [b".a dot first", mark]
    assert b"Subject: hello" in client.top(1, 0)[1]
    unique_id = client.uidl(1).split()[2]
    client.dele(1)
    client.close()
    client = connect(system, kind)
    client.user(address)
    client.pass_(PASSWORD)
    assert client.uidl(1).split()[2] == unique_id
    client.dele(1)
    client.quit()
    client = connect(system, kind)
    client.user(address)
    client.pass_(PASSWORD)
    assert client.stat() == (0, 0)
    client.quit()


@pytest.mark.parametrize("kind", ["plain", "stls", "tls"])
def test_curl_reads_a_letter(system: System, letter: tuple[str, bytes], kind: str) -> None:
    """curl, as the card of `make run` shows it."""
    curl = need("curl", "curl")
    address, mark = letter
    url = (
        f"pop3s://127.0.0.1:{system.pop3s_port}/1"
        if kind == "tls"
        else f"pop3://127.0.0.1:{system.pop3_port}/1"
    )
    options = ["--ssl-reqd"] if kind == "stls" else []
    read = subprocess.run(
        [curl, "-sS", "--max-time", "30", "--insecure", *options, "--user", f"{address}:{PASSWORD}", url],
        capture_output=True,
        check=True,
    )
    assert read.stdout.endswith(b".a dot first\r\n" + mark + b"\r\n")


@pytest.mark.parametrize("kind", ["plain", "stls", "tls"])
def test_curl_lists_unique_ids_and_removes(system: System, letter: tuple[str, bytes], kind: str) -> None:
    """RFC 1939 §7: the id stays when the letter is left; DELE and curl's own QUIT remove it."""
    address = letter[0]

    def ask(path: str, *options: str) -> bytes:
        port = system.pop3s_port if kind == "tls" else system.pop3_port
        url = f"{'pop3s' if kind == 'tls' else 'pop3'}://127.0.0.1:{port}/{path}"
        security = ["--ssl-reqd"] if kind == "stls" else []
        words = ["-sS", "--max-time", "30", "--insecure", *security, "--user", f"{address}:{PASSWORD}"]
        return subprocess.run(
            [need("curl", "curl"), *words, *options, url], capture_output=True, check=True
        ).stdout

    unique_ids = ask("", "--request", "UIDL")
    assert len(unique_ids.split()) == 2
    assert ask("1").startswith(b"Return-Path: ")
    assert ask("", "--request", "UIDL") == unique_ids
    ask("1", "--list-only", "--request", "DELE")
    assert ask("", "--request", "UIDL").split() == []


def test_a_wrong_password_is_refused(system: System, letter: tuple[str, bytes]) -> None:
    """RFC 3206 §4."""
    client = connect(system, "plain")
    client.user(letter[0])
    with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
        client.pass_("wrong")
    client.quit()
