"""Programs that fetch mail by POP3: getmail, fetchmail and mpop, each leaving the mail there and taking it away.

The rule: a program that leaves mail fetches each letter once, by its unique id (RFC 1939 §7); one that takes it away
leaves nothing behind; and what it stores is the letter that was sent.
"""

import poplib
import re
import smtplib
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.system import System
from tests.tools import need

PASSWORD = "fetch: word"
# Dots at the start of lines, a line of dots alone, octets beyond ASCII, and no empty line at the end.
BODY = "This is {}.\r\n.\r\n..\r\n.dots\r\nM\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen\r\n\r\nend"


@dataclass(frozen=True)
class Job:
    """A program's task. how: plain, stls or tls. folder: where it keeps its settings, what it knows, and the mail."""

    system: System
    login: str
    how: str
    keeps: bool
    folder: Path

    @property
    def port(self) -> int:
        return self.system.pop3s_port if self.how == "tls" else self.system.pop3_port

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        file = self.folder / name
        file.write_text(text)
        file.chmod(mode)
        return file

    def saver(self) -> Path:
        """A program that stores what it is given."""
        return self.write("save", f'#!/bin/sh\ncat > "$(mktemp {self.folder}/mail/new/XXXXXX)"\n', 0o700)

    def run(self, *words: str | Path, allowed: tuple[int, ...] = (0,)) -> str:
        """What the program said."""
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            timeout=60,
            env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
        )
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode in allowed, said
        return said


def getmail(job: Job) -> None:
    """Knows no STLS. Stores nothing itself where it is run by root."""
    kind = "SimplePOP3SSLRetriever" if job.how == "tls" else "SimplePOP3Retriever"
    trust = f"ca_certs = {job.system.certificate}" if job.how == "tls" else ""
    rc = f"""
[retriever]
type = {kind}
server = localhost
port = {job.port}
username = {job.login}
password = {PASSWORD}
{trust}
[destination]
type = MDA_external
path = {job.saver()}
allow_root_commands = true
[options]
read_all = false
delete = {str(not job.keeps).lower()}
delivered_to = false
received = false
"""
    job.run(need("getmail", "getmail6"), "--getmaildir", job.folder, "--rcfile", job.write("getmailrc", rc))


def fetchmail(job: Job) -> None:
    """An exit code of 1 means that there was no mail."""
    program = need("fetchmail", "fetchmail")
    tls = {
        "plain": "sslproto ''",
        "stls": f"sslproto 'TLS1.2+' sslcertfile '{job.system.certificate}' sslcertck",
        "tls": f"ssl sslcertfile '{job.system.certificate}' sslcertck",
    }[job.how]
    rc = (
        f"poll localhost protocol POP3 port {job.port} uidl\n"
        f"user '{job.login}' password '{PASSWORD}' {tls} {'keep' if job.keeps else 'nokeep'} mda '{job.saver()}'\n"
    )
    files = ("--idfile", job.folder / "ids", "--pidfile", job.folder / "pid")
    job.run(program, "-f", job.write("fetchmailrc", rc), *files, allowed=(0, 1))


def mpop(job: Job) -> None:
    """Pipelines what it asks for, as CAPA allows (RFC 2449 §6.6)."""
    program = need("mpop", "mpop")
    tls = {"plain": "tls off", "stls": "tls on\ntls_starttls on", "tls": "tls on\ntls_starttls off"}[job.how]
    rc = f"""
account default
host localhost
port {job.port}
user {job.login}
password "{PASSWORD}"
auth user
{tls}
{"" if job.how == "plain" else f"tls_trust_file {job.system.certificate}"}
delivery maildir {job.folder}/mail
keep {"on" if job.keeps else "off"}
uidls_file {job.folder}/uidls
"""
    job.run(program, "-C", job.write("mpoprc", rc))


PROGRAMS: dict[str, tuple[Callable[[Job], None], tuple[str, ...]]] = {
    "getmail": (getmail, ("plain", "tls")),
    "fetchmail": (fetchmail, ("plain", "stls", "tls")),
    "mpop": (mpop, ("plain", "stls", "tls")),
}
CASES = [(name, how) for name, (_, ways) in PROGRAMS.items() for how in ways]


def send(system: System, login: str, *subjects: str) -> None:
    with smtplib.SMTP("127.0.0.1", system.smtp_port) as smtp:
        for subject in subjects:
            text = f"Subject: {subject}\r\n\r\n{BODY.format(subject)}"
            smtp.sendmail("a@example.net", [login], text.encode(), ["BODY=8BITMIME"])


def fetched(job: Job) -> list[str]:
    """The subjects of what was stored, each as it was sent."""
    subjects = []
    for file in (job.folder / "mail" / "new").iterdir():
        head, _, body = file.read_bytes().replace(b"\r\n", b"\n").decode().partition("\n\n")
        found = re.search(r"^Subject: (\w+)$", head, re.MULTILINE)
        assert found is not None, head
        assert body.rstrip("\n") == BODY.format(found[1]).replace("\r\n", "\n")
        subjects.append(found[1])
    return sorted(subjects)


def left(system: System, login: str) -> int:
    """How many letters are in the maildrop."""
    client = poplib.POP3("127.0.0.1", system.pop3_port, timeout=30)
    client.user(login)
    client.pass_(PASSWORD)
    messages, _ = client.stat()
    client.quit()
    return messages


@pytest.mark.parametrize(("name", "how"), CASES, ids=["-".join(case) for case in CASES])
@pytest.mark.parametrize("keeps", [True, False], ids=["keep", "delete"])
def test_a_fetcher_gets_each_letter_once(
    system: System, tmp_path: Path, name: str, how: str, keeps: bool
) -> None:
    """Three letters, then none, then the one that came meanwhile."""
    login = f"{name}-{how}-{'keep' if keeps else 'delete'}@fetchers.example.org"
    system.add_account(login, PASSWORD)
    for folder in ("cur", "new", "tmp"):
        (tmp_path / "mail" / folder).mkdir(parents=True)
    job = Job(system, login, how, keeps, tmp_path)
    fetch = PROGRAMS[name][0]
    wanted: list[str] = []
    for subjects in (("one", "two", "three"), (), ("four",)):
        send(system, login, *subjects)
        fetch(job)
        wanted = sorted([*wanted, *subjects])
        assert fetched(job) == wanted
        assert left(system, login) == (len(wanted) if keeps else 0)
