"""Real messages, the odd and the broken among them, in by one door and out by the others, octet for octet."""

import imaplib
import os
import poplib
import re
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.system import System

SAMPLES = Path(__file__).parents[1] / "samples"
PASSWORD = "corpus password"


def _messages() -> list[tuple[str, bytes]]:
    """Name and octets, with the line ends that travel."""
    corpus = os.environ.get("RESTANTE_CORPUS")
    files = [*SAMPLES.glob("*.eml"), *(Path(corpus).glob("*/*.eml") if corpus else [])]
    return [
        (f"{each.parent.name}/{each.name}", re.sub(rb"\r?\n", b"\r\n", each.read_bytes()))
        for each in sorted(files)
    ]


@pytest.fixture(scope="module")
def login(system: System) -> str:
    """An account for these tests."""
    system.add_account("corpus@corpus.example.org", PASSWORD)
    return "corpus@corpus.example.org"


@contextmanager
def imap(system: System, login: str) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=60) as client:
        client.login(login, PASSWORD)
        yield client


def test_what_is_appended_is_fetched_octet_for_octet(system: System, login: str) -> None:
    """RFC 9051 §6.3.12, §6.4.5: bodies, sections and sizes agree with the octets that came in."""
    messages = _messages()
    assert len(messages) >= 15
    with imap(system, login) as client:
        client.create("Real")
        for name, octets in messages:
            if octets:
                # `append` would put CR LF for a bare CR or LF.
                client.literal = octets  # type: ignore[assignment]
                status, said = client._simple_command("APPEND", "Real")
                assert status == "OK", (name, said)
        client.select("Real")
        kept = [(name, octets) for name, octets in messages if octets]
        for number, (name, octets) in enumerate(kept, 1):
            status, answer = client.fetch(str(number), "(RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY)")
            assert status == "OK", name
            told = b" ".join(part if isinstance(part, bytes) else part[0] for part in answer if part)
            assert f"RFC822.SIZE {len(octets)} ".encode() in told, name
            sections = {}
            for section in ("", "HEADER", "TEXT"):
                answer = client.fetch(str(number), f"(BODY.PEEK[{section}])")[1]
                # A section without octets is an empty quoted string.
                sections[section] = answer[0][1] if isinstance(answer[0], tuple) else b""
            assert sections[""] == octets, name
            assert sections["HEADER"] + sections["TEXT"] == octets, name


def test_what_is_delivered_is_read_by_imap_and_pop3(system: System, login: str) -> None:
    """RFC 5321 §4.5.2, RFC 1939 §3: behind the trace headers stand the octets that were sent."""
    taken = [
        (name, octets)
        for name, octets in _messages()
        # A bare CR or LF is refused at the door; a last line without an end gets one on the wire.
        if octets.endswith(b"\r\n") and not re.search(rb"\r(?!\n)|(?<!\r)\n", octets)
    ]
    assert len(taken) >= 10
    with smtplib.SMTP("127.0.0.1", system.smtp_port, timeout=60) as sender:
        for name, octets in taken:
            # smtplib takes octets as they are, but for dots and line ends.
            refused = sender.sendmail("sender@example.com", [login], octets, mail_options=["BODY=8BITMIME"])
            assert refused == {}, name
    with imap(system, login) as client:
        client.select("INBOX", readonly=True)
        for number, (name, octets) in enumerate(taken, 1):
            answer = client.fetch(str(number), "(BODY.PEEK[])")[1]
            assert isinstance(answer[0], tuple), name
            assert answer[0][1].endswith(octets), name
            assert answer[0][1].startswith(b"Return-Path: <sender@example.com>\r\n"), name
    box = poplib.POP3("127.0.0.1", system.pop3_port, timeout=60)
    box.user(login)
    box.pass_(PASSWORD)
    for number, (name, octets) in enumerate(taken, 1):
        lines = box.retr(number)[1]
        assert (b"\r\n".join(lines) + b"\r\n").endswith(octets), name
    box.quit()
