"""SASL as curl speaks it, each mechanism at each door, plain and over TLS. RFC 4422."""

import subprocess

import pytest

from tests.e2e.system import System
from tests.tools import need

PASSWORD = "pass: word ä"


@pytest.fixture(scope="module")
def login(system: System) -> str:
    """An account for these tests, with INBOX empty."""
    system.add_account("sasl@sasl.example.org", PASSWORD)
    return "sasl@sasl.example.org"


def ask(system: System, door: str, login: str, password: str, *options: str) -> tuple[int, str]:
    """curl's exit code, and what it heard and said."""
    port = {
        "imap": system.imap_port,
        "imaps": system.imaps_port,
        "pop3": system.pop3_port,
        "pop3s": system.pop3s_port,
    }[door]
    done = subprocess.run(
        [
            *(need("curl", "curl"), "-v", "--max-time", "30", "--insecure", *options),
            *("--user", f"{login}:{password}", f"{door}://127.0.0.1:{port}/"),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode(errors="replace")


@pytest.mark.parametrize("door", ["imap", "imaps", "pop3", "pop3s"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("is_initial", [True, False], ids=["initial", "asked"])
def test_curl_logs_in(system: System, login: str, door: str, mechanism: str, is_initial: bool) -> None:
    """With an initial response and without one; a wrong password is refused. RFC 4959 §3, RFC 5034 §4."""
    options = ["--login-options", f"AUTH={mechanism}", *(["--sasl-ir"] if is_initial else [])]
    code, talk = ask(system, door, login, PASSWORD, *options)
    assert code == 0, talk
    command = f"AUTHENTICATE {mechanism}" if door.startswith("imap") else f"AUTH {mechanism}"
    said = [line for line in talk.splitlines() if line.startswith(">") and command in line]
    assert len(said) == 1
    # Where a server announces SASL-IR, curl makes use of it unasked.
    assert said[0].rstrip().endswith(command) != (is_initial or door.startswith("imap"))
    code, talk = ask(system, door, login, "wrong", *options)
    assert code == 67, talk
