"""APOP as people meet it: turned on by a setting, a secret by the command line, and clients that know the command."""

import poplib
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.system import System, running
from tests.tools import need

ADDRESS = "apop@apop.test"
SECRET = "tan staaf ä"


@pytest.fixture(scope="module")
def offering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that offers APOP, and an account that was given a secret."""
    with running(tmp_path_factory.mktemp("apop") / "home", APOP="true") as system:
        system.add_account(ADDRESS, "password")
        done = system.run("account", "apop", ADDRESS, "--password-stdin", stdin=f"{SECRET}\n".encode())
        assert (done.returncode, done.stdout) == (0, f"{ADDRESS} has a new APOP secret\n".encode())
        yield system


def connect(system: System) -> poplib.POP3:
    """A client behind the greeting."""
    return poplib.POP3("127.0.0.1", system.pop3_port, timeout=30)


def test_no_two_connections_are_greeted_with_the_same_timestamp(offering: System) -> None:
    """RFC 1939 §7."""
    stamps = set()
    for _ in range(20):
        client = connect(offering)
        found = re.search(rb"<[^<>@ ]+@[^<>@ ]+>$", client.getwelcome())
        assert found is not None
        stamps.add(found.group())
        client.quit()
    assert len(stamps) == 20


def test_poplib_and_curl_log_in_by_apop(offering: System) -> None:
    """RFC 1939 §7; a wrong secret is refused, and the password is no secret."""
    client = connect(offering)
    for wrong in ("password", SECRET.upper()):
        with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
            client.apop(ADDRESS, wrong)
    assert client.apop(ADDRESS, SECRET).startswith(b"+OK 0 messages")
    client.quit()
    url = f"pop3://127.0.0.1:{offering.pop3_port}/"
    done = subprocess.run(
        [
            *(need("curl", "curl"), "-v", "--max-time", "30", "--login-options", "AUTH=+APOP"),
            *("--user", f"{ADDRESS}:{SECRET}", url),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert f"> APOP {ADDRESS} ".encode() in done.stderr


def test_mpop_and_fetchmail_log_in_by_apop(offering: System, tmp_path: Path) -> None:
    """Both check that the greeting's timestamp is a msg-id before they answer it."""
    mpop = tmp_path / "mpop"
    mpop.write_text(
        f"account default\nhost 127.0.0.1\nport {offering.pop3_port}\nauth apop\nuser {ADDRESS}\n"
        f'password "{SECRET}"\ntls off\ndelivery maildir {tmp_path}\nuidls_file {tmp_path}/uidls\n'
    )
    fetchmail = tmp_path / "fetchmail"
    fetchmail.write_text(
        f"poll 127.0.0.1 protocol APOP port {offering.pop3_port}\n"
        f"user '{ADDRESS}' password '{SECRET}' sslproto '' mda 'cat'\n"
    )
    for file in (mpop, fetchmail):
        file.chmod(0o600)
    for words, code in (
        ((need("mpop", "mpop"), "-d", "-C", mpop), 0),
        ((need("fetchmail", "fetchmail"), "-v", "-f", fetchmail, "--pidfile", tmp_path / "pid"), 1),
    ):
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            timeout=60,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said.decode()
        assert f"APOP {ADDRESS} ".encode() in said


def test_a_removed_secret_lets_nobody_in(offering: System) -> None:
    """And the password still does."""
    offering.add_account("removed@apop.test", "password")
    assert (
        offering.run("account", "apop", "removed@apop.test", "--password-stdin", stdin=b"x").returncode == 0
    )
    done = offering.run("account", "apop", "removed@apop.test", "--remove")
    assert (done.returncode, done.stdout) == (0, b"removed@apop.test has no APOP secret any more\n")
    client = connect(offering)
    with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
        client.apop("removed@apop.test", "x")
    client.user("removed@apop.test")
    client.pass_("password")
    client.quit()


def test_the_key_is_its_owners_alone_and_no_log_has_a_secret(offering: System) -> None:
    """Made at the first start that offers APOP."""
    key = offering.home / "keys" / "apop"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    logs = b"".join(log.read_bytes() for log in (offering.home / "logs").iterdir())
    assert SECRET.encode() not in logs
    assert key.read_bytes().strip() not in logs


def test_where_apop_is_off_the_command_says_how_to_turn_it_on(system: System) -> None:
    """The default: no timestamp, no key, no secrets."""
    system.add_account("off@apop.test", "password")
    done = system.run("account", "apop", "off@apop.test", "--password-stdin", stdin=b"x")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"restante: APOP is off here: RESTANTE_APOP=true turns it on\n"
    client = connect(system)
    assert b"<" not in client.getwelcome()
    client.quit()
    assert not (system.home / "keys" / "apop").exists()
