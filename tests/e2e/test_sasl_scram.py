"""SCRAM as real clients speak it, plain and over TLS, and bound to the certificate. RFC 5802, RFC 7677, RFC 5929."""

import imaplib
import signal
import socket
import ssl
import subprocess
from base64 import b64decode, b64encode
from contextlib import closing
from pathlib import Path

import pytest

from services.plumbing.net.tls import end_point_of
from tests.e2e.system import System
from tests.fakes.scram import ScramClient
from tests.tools import need

PASSWORD = "pass: word ä"
LOGIN = "scram@scram.example.org"


@pytest.fixture(scope="module")
def login(system: System) -> str:
    """An account for these tests, with INBOX empty."""
    system.add_account(LOGIN, PASSWORD)
    return LOGIN


def bound(system: System) -> ScramClient:
    """A client that has seen the certificate of the doors."""
    end_point = end_point_of(system.certificate.read_bytes())
    return ScramClient(LOGIN, PASSWORD.encode(), flag="p=tls-server-end-point", bound=end_point)


def over_imap(system: System, client: ScramClient, mechanism: str, *, tls: bool) -> bytes:
    """imaplib's AUTHENTICATE; the server's last word. Raises imaplib.IMAP4.error."""
    context = ssl.create_default_context(cafile=system.certificate)
    context.check_hostname = False
    connection = (
        imaplib.IMAP4_SSL("127.0.0.1", system.imaps_port, ssl_context=context)
        if tls
        else imaplib.IMAP4("127.0.0.1", system.imap_port)
    )
    said: list[bytes] = []

    def answer(challenge: bytes) -> bytes:
        said.append(challenge)
        if len(said) == 1:
            return client.first
        return client.final(challenge) if len(said) == 2 else b""

    with connection:
        assert ("AUTH=SCRAM-SHA-256-PLUS" in connection.capabilities) == tls
        connection.authenticate(mechanism, answer)
        connection.select()
    return said[-1]


def over_pop3(system: System, client: ScramClient, mechanism: str) -> list[bytes]:
    """AUTH over TLS, with an initial response; what the server said. RFC 5034 §4."""
    context = ssl.create_default_context(cafile=system.certificate)
    context.check_hostname = False
    said: list[bytes] = []
    with (
        closing(socket.create_connection(("127.0.0.1", system.pop3s_port), 30)) as plain,
        context.wrap_socket(plain) as secure,
        secure.makefile("rwb", buffering=0) as wire,
    ):
        said.append(wire.readline())
        wire.write(b"AUTH %b %b\r\n" % (mechanism.encode(), b64encode(client.first)))
        said.append(wire.readline())
        wire.write(b64encode(client.final(b64decode(said[-1][2:]))) + b"\r\n")
        said.append(wire.readline())
        if said[-1].startswith(b"+ "):
            wire.write(b"\r\n")
            said.append(wire.readline())
    return said


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_imaplib_logs_in_by_a_proof(system: System, login: str, tls: bool) -> None:
    """The server proves that it knows the password too; a wrong one is refused."""
    client = ScramClient(login, PASSWORD.encode())
    assert client.is_answered(over_imap(system, client, "SCRAM-SHA-256", tls=tls))
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        over_imap(system, ScramClient(login, b"wrong"), "SCRAM-SHA-256", tls=tls)


def test_a_login_is_bound_to_the_certificate_in_imap(system: System, login: str) -> None:
    """Whoever was shown another certificate stays outside, as does whoever was not told of PLUS."""
    client = bound(system)
    assert client.is_answered(over_imap(system, client, "SCRAM-SHA-256-PLUS", tls=True))
    deceived = bound(system)
    deceived.bound = b"\0" * 32
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        over_imap(system, deceived, "SCRAM-SHA-256-PLUS", tls=True)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        over_imap(system, ScramClient(login, PASSWORD.encode(), flag="y"), "SCRAM-SHA-256", tls=True)
    with pytest.raises(imaplib.IMAP4.error, match="CANNOT"):
        over_imap(system, bound(system), "SCRAM-SHA-256-PLUS", tls=False)


def test_a_login_is_bound_to_the_certificate_in_pop3(system: System, login: str) -> None:
    """The same, at the other door."""
    client = bound(system)
    said = over_pop3(system, client, "SCRAM-SHA-256-PLUS")
    assert client.is_answered(b64decode(said[2][2:]))
    assert said[3].startswith(b"+OK 0 messages"), login
    deceived = bound(system)
    deceived.bound = b"\0" * 32
    assert over_pop3(system, deceived, "SCRAM-SHA-256-PLUS")[2].startswith(b"-ERR [AUTH]")


def gsasl(system: System, password: str, *options: str) -> int:
    """GNU SASL's exit code at IMAP."""
    done = subprocess.run(
        [
            *(need("gsasl", "gsasl"), "--imap", f"--connect=127.0.0.1:{system.imap_port}"),
            *(
                "--mechanism=SCRAM-SHA-256",
                f"--authentication-id={LOGIN}",
                f"--password={password}",
                *options,
            ),
        ],
        input=b". LOGOUT\r\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode


def test_gsasl_logs_in(system: System, login: str) -> None:
    """Over TLS it says `y` unless it is told not to: that it was not offered PLUS, which it was. RFC 5802 §6."""
    assert login == LOGIN
    trust = ("--starttls", f"--x509-ca-file={system.certificate}")
    for options in (("--no-starttls",), (*trust, "--no-cb")):
        # Whoever is in may be told BYE while it still writes.
        assert gsasl(system, PASSWORD, *options) in (0, -signal.SIGPIPE)
        assert gsasl(system, "wrong", *options) == 1
    assert gsasl(system, PASSWORD, *trust) == 1


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_mpop_logs_in(system: System, login: str, tls: bool, tmp_path: Path) -> None:
    """mpop at POP3, by the mechanism that it was told; where nothing is encrypted it finds that one by itself."""
    port = system.pop3s_port if tls else system.pop3_port
    secret = tmp_path / "password"
    options = ["--tls=on", "--tls-starttls=off", "--tls-certcheck=off"] if tls else ["--tls=off"]
    for mechanism in ["scram-sha-256"] if tls else ["scram-sha-256", "on"]:
        for password, code in ((PASSWORD, 0), ("wrong", 77)):
            secret.write_text(password + "\n")
            command = [
                need("mpop", "mpop"),
                "--debug",
                "--host=127.0.0.1",
                f"--port={port}",
                f"--user={login}",
            ]
            command += [f"--passwordeval=cat {secret}", f"--auth={mechanism}", "--status-only", *options]
            done = subprocess.run(
                [*command, f"--delivery=maildir,{tmp_path}"],
                capture_output=True,
                timeout=60,
                check=False,
                env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            )
            assert done.returncode == code, done
            assert b"AUTH SCRAM-SHA-256" in done.stdout, done
