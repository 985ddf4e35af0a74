"""Tokens of a real issuer, and an operator as somebody else, as curl shows them at each door. RFC 7628, RFC 4616."""

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.e2e.system import System, running
from tests.fakes.issuer import AUDIENCE, Issuer, serving
from tests.tools import need

LOGIN = "oauth@oauth.example.org"
MASTER = "master@oauth.example.org"


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Issuer]]:
    """A system that takes the tokens of an issuer, both running."""
    with (
        serving() as issuer,
        running(
            tmp_path_factory.mktemp("oauth") / "home",
            OAUTH_ISSUER=issuer.url,
            STORAGE_OAUTH_AUDIENCE=AUDIENCE,
            STORAGE_OAUTH_KEYS=issuer.keys_url,
            STORAGE_MASTERS=MASTER,
        ) as system,
    ):
        system.add_account(LOGIN, "secret")
        assert system.run("account", "add", MASTER, "--password-stdin", stdin=b"master").returncode == 0
        yield system, issuer


def ask(system: System, door: str, mechanism: str, token: str) -> tuple[int, str]:
    """curl's exit code, and what it heard and said."""
    port = {"imap": system.imap_port, "imaps": system.imaps_port, "pop3s": system.pop3s_port}[door]
    done = subprocess.run(
        [
            *(need("curl", "curl"), "-v", "--max-time", "30", "--insecure", "--user", f"{LOGIN}:"),
            *(
                "--login-options",
                f"AUTH={mechanism}",
                "--oauth2-bearer",
                token,
                f"{door}://127.0.0.1:{port}/",
            ),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.decode(errors="replace")


@pytest.mark.parametrize("door", ["imap", "imaps", "pop3s"])
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
def test_curl_logs_in_by_a_token(issued: tuple[System, Issuer], door: str, mechanism: str) -> None:
    """One whose time is over is refused, and so is one that is for somebody else."""
    system, issuer = issued
    code, talk = ask(system, door, mechanism, issuer.token(LOGIN))
    assert code == 0, talk
    assert mechanism in talk
    for wrong in (issuer.token(LOGIN, exp=int(time.time()) - 3600), issuer.token("other@oauth.example.org")):
        code, talk = ask(system, door, mechanism, wrong)
        assert code == 67, talk


@pytest.mark.parametrize("door", ["imap", "pop3s"])
def test_an_operator_logs_in_as_somebody_else(issued: tuple[System, Issuer], door: str) -> None:
    """By its own password, where the settings name it; storage's log says who did, and nobody else may. RFC 4616 §2."""
    system, _ = issued
    port = {"imap": system.imap_port, "pop3s": system.pop3s_port}[door]
    for login, whom, code in ((f"{MASTER}:master", LOGIN, 0), (f"{LOGIN}:secret", MASTER, 67)):
        done = subprocess.run(
            [
                *(need("curl", "curl"), "-v", "--max-time", "30", "--insecure", "--user", login),
                *("--login-options", "AUTH=PLAIN", "--sasl-authzid", whom, f"{door}://127.0.0.1:{port}/"),
            ],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stderr
    assert "master login" in (system.home / "logs" / "storage.log").read_text()
