"""Letters as people's own programs send them, in plain text and over TLS, read back by IMAP. RFC 5321, RFC 3207."""

import imaplib
import smtplib
import ssl
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.system import System
from tests.tools import need


def context(system: System) -> ssl.SSLContext:
    """Trusts the system's certificate, whatever name it bears."""
    made = ssl.create_default_context(cafile=str(system.certificate))
    made.check_hostname = False
    return made


def copies(system: System, address: str, password: str, subject: str) -> list[bytes]:
    """The messages of INBOX that have this subject, octet for octet."""
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as imap:
        imap.login(address, password)
        imap.select("INBOX", readonly=True)
        _, rows = imap.fetch("1:*", "(BODY.PEEK[])")
        bodies = [row[1] for row in rows if isinstance(row, tuple)]
        return [body for body in bodies if f"\r\nSubject: {subject}\r\n".encode() in body]


def sent(subject: str) -> bytes:
    return f"From: bob@example.net\r\nSubject: {subject}\r\n\r\n.a dot\r\nand text\r\n".encode()


@pytest.mark.parametrize("tls", [False, True])
def test_a_letter_of_curl_is_kept_octet_for_octet(system: System, tmp_path: Path, tls: bool) -> None:
    """RFC 5321 §4.5.2: the dots come back as they went in."""
    curl = need("curl", "curl")
    subject = uuid4().hex
    (tmp_path / "letter").write_bytes(sent(subject))
    words = ["--ssl-reqd", "--insecure"] if tls else []
    subprocess.run(
        [curl, "--silent", "--show-error", *words, "--url", f"smtp://127.0.0.1:{system.smtp_port}",
         "--mail-from", "bob@example.net", "--mail-rcpt", system.account, "--upload-file", tmp_path / "letter"],
        check=True,
        timeout=60,
    )  # fmt: skip
    (copy,) = copies(system, system.account, system.password, subject)
    head = copy.removesuffix(sent(subject))
    assert head != copy
    assert head.startswith(b"Return-Path: <bob@example.net>\r\nDelivered-To: " + system.account.encode())
    assert (b" with ESMTPS id " if tls else b" with ESMTP id ") in head


@pytest.mark.parametrize("tls", [False, True])
def test_a_letter_of_swaks_arrives(system: System, tls: bool) -> None:
    """RFC 2920, RFC 3207: pipelined, and under TLS where asked for."""
    swaks = need("swaks", "swaks libnet-ssleay-perl")
    if tls and subprocess.run([need("perl", "perl"), "-MNet::SSLeay", "-e", "1"], check=False).returncode:
        pytest.skip("Net::SSLeay is absent: apt-get install libnet-ssleay-perl")
    subject = uuid4().hex
    words = ["--tls"] if tls else ["--pipeline"]
    subprocess.run(
        [swaks, *words, "--server", f"127.0.0.1:{system.smtp_port}", "--from", "bob@example.net",
         "--to", system.account, "--header", f"Subject: {subject}", "--silent", "1"],
        check=True,
        timeout=60,
    )  # fmt: skip
    assert len(copies(system, system.account, system.password, subject)) == 1


def test_a_letter_of_smtplib_reaches_every_recipient_that_is_known(system: System) -> None:
    """RFC 5321 §3.3: unknown recipients are refused at RCPT, the others get the letter."""
    subject = uuid4().hex
    system.add_account("smtplib@smtplib.example", "another secret")
    with smtplib.SMTP("127.0.0.1", system.smtp_port, timeout=60) as client:
        client.starttls(context=context(system))
        recipients = [system.account, "smtplib@smtplib.example", "nobody@smtplib.example"]
        refused = client.sendmail("bob@example.net", recipients, sent(subject))
    assert {address: code for address, (code, _) in refused.items()} == {"nobody@smtplib.example": 550}
    assert len(copies(system, system.account, system.password, subject)) == 1
    assert len(copies(system, "smtplib@smtplib.example", "another secret", subject)) == 1
