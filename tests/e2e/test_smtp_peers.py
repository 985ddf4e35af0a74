"""Mail servers in front of ours: a real Postfix hands its letters on by SMTP and by LMTP, plain and over TLS."""

import os
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from services.cli.up.ports import free_ports
from tests.e2e.system import System, await_that
from tests.e2e.test_smtp_clients import copies
from tests.tools import need

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
myhostname = front.example.net
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
maillog_file = {home}/log/mail
maillog_file_prefixes = {home}
default_transport = {transport}
relay_transport = {transport}
smtp_tls_security_level = {tls}
lmtp_tls_security_level = {tls}
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
local_recipient_maps =
smtp_dsn_filter =
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(transport: str, *, tls: bool) -> Iterator[tuple[int, Path]]:
    """A Postfix of the test's own: the port of its smtpd, and its log."""
    program = need("postfix", "postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix changes users: run as root")
    home = Path(tempfile.mkdtemp(prefix="postfix-"))
    try:
        home.chmod(0o755)
        for name in ("etc", "queue", "data", "log"):
            (home / name).mkdir()
        shutil.chown(home / "data", "postfix")
        (port,) = free_ports(1)
        values = {"home": home, "transport": transport, "port": port, "tls": "encrypt" if tls else "none"}
        (home / "etc" / "main.cf").write_text(MAIN.format(**values))
        (home / "etc" / "master.cf").write_text(MASTER.format(**values))
        command = [program, "-c", str(home / "etc")]
        done = subprocess.run([*command, "start"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        try:
            yield port, home / "log" / "mail"
        finally:
            subprocess.run([*command, "stop"], capture_output=True, check=True)
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("way", ["smtp", "lmtp"])
def test_postfix_hands_its_letters_on(system: System, way: str, tls: bool) -> None:
    """RFC 5321, RFC 2033, RFC 3030 as Postfix speaks them: octets, recipients, and what its sender wants to be told."""
    name = uuid4().hex
    domain = system.account.partition("@")[2]
    recipients = [f"{each}-{name}@{domain}" for each in ("one", "two")]
    for each in recipients:
        system.add_account(each, "secret")
    port = system.smtp_port if way == "smtp" else system.lmtp_port
    body = "".join(f".{number:04} a line\r\n" for number in range(2000))
    letter = f"From: bob@example.net\r\nMessage-ID: <{name}@example.net>\r\nSubject: {name}\r\n\r\n{body}"
    with postfix(
        f"{way}:inet:127.0.0.1:{port}" if way == "lmtp" else f"smtp:[127.0.0.1]:{port}", tls=tls
    ) as (
        front,
        log,
    ):
        with smtplib.SMTP("127.0.0.1", front, timeout=60) as client:
            client.sendmail(
                "bob@example.net",
                [*recipients, f"nobody-{name}@{domain}"],
                letter,
                ["RET=HDRS", f"ENVID={name}"],
                ["NOTIFY=FAILURE"],
            )
        await_that(
            lambda: (
                log.exists()
                and log.read_text().count("status=sent") == 2
                and "status=bounced" in log.read_text()
            ),
            "Postfix did not get rid of the letter",
        )
        told = log.read_text()
    assert told.count("250 2.0.0 Stored as") == 2, told
    assert "550 5.1.1" in told
    for each in recipients:
        (copy,) = copies(system, each, "secret", name)
        assert copy.endswith(body.encode())
        assert copy.startswith(b"Return-Path: <bob@example.net>\r\nDelivered-To: " + each.encode())
        word = way.upper() if way == "lmtp" else "ESMTP"
        assert f" with {word}{'S' if tls else ''} id ".encode() in copy
        shown = system.run("trace", each, "--json").stdout.decode()
        assert f"RET=HDRS ENVID={name} NOTIFY=FAILURE ORCPT=rfc822;" in shown


@pytest.mark.parametrize("tls", [False, True])
def test_swaks_speaks_lmtp(system: System, tls: bool) -> None:
    """RFC 2033: a reply for each recipient."""
    swaks = need("swaks", "swaks libnet-ssleay-perl")
    subject = uuid4().hex
    done = subprocess.run(
        [swaks, "--protocol", "LMTP", *(["--tls"] if tls else []), "--server", f"127.0.0.1:{system.lmtp_port}",
         "--from", "bob@example.net", "--to", f"{system.account},{system.account}", "--header", f"Subject: {subject}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )  # fmt: skip
    assert done.stdout.count("Stored as") == 2
    assert len(copies(system, system.account, system.password, subject)) == 1
