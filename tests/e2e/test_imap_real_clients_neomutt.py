"""neomutt in a terminal, as somebody who reads mail: CONDSTORE, QRESYNC and IDLE are switched on."""

import imaplib
import smtplib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import System
from tests.tools import need

PASSWORD = "a reader's password"
PATIENCE = 20.0
SETTINGS = """
set folder = "imap://127.0.0.1:{port}/"
set spoolfile = "+INBOX"
set imap_user = "{login}"
set imap_pass = "{password}"
set imap_authenticators = "plain"
set imap_condstore = yes
set imap_qresync = yes
set imap_idle = yes
set imap_keepalive = 300
set mail_check = 1
set timeout = 1
set imap_poll_timeout = 300
set ssl_starttls = no
set ssl_force_tls = no
set header_cache = "{home}/cache"
set delete = yes
set quit = yes
set wait_key = no
set beep = no
set from = "{login}"
set index_format = "%4C %Z %s"
set status_format = "%f messages:%m"
set trash = ""
"""


@pytest.fixture
def login(system: System, request: pytest.FixtureRequest) -> str:
    """An account for the test."""
    address = f"{request.node.name.split('_')[2]}@terminal.example.org"
    system.add_account(address, PASSWORD)
    return address


def letter(subject: str) -> str:
    return f"From: Bob <bob@example.org>\r\nSubject: {subject}\r\n\r\nThis is {subject}.\r\n"


class Terminal:
    """neomutt inside a tmux of its own."""

    def __init__(self, tmux: str, socket: Path) -> None:
        self.words = [tmux, "-S", str(socket), "-f", "/dev/null"]

    def run(self, *words: str) -> str:
        done = subprocess.run([*self.words, *words], capture_output=True, text=True, check=False, timeout=30)
        return done.stdout

    def type(self, *keys: str) -> None:
        self.run("send-keys", "-t", "0", *keys)

    def screen(self) -> str:
        return self.run("capture-pane", "-p", "-t", "0")

    def sees(self, *texts: str) -> str:
        """Waits until all of these are on the screen."""
        until = time.monotonic() + PATIENCE
        while not all(text in (screen := self.screen()) for text in texts):
            assert time.monotonic() < until, f"{texts} is not seen:\n{screen}"
            time.sleep(0.05)
        return screen

    def leaves(self) -> None:
        """Quits, and waits until the program has written down what it knows."""
        self.type("q")
        until = time.monotonic() + PATIENCE
        while self.run("list-sessions"):
            assert time.monotonic() < until, self.screen()
            time.sleep(0.05)


@contextmanager
def neomutt(system: System, login: str, home: Path) -> Iterator[Terminal]:
    """neomutt on the account's INBOX; its log is mutt.log."""
    program, tmux = need("neomutt", "neomutt"), need("tmux", "tmux")
    settings = home / "neomuttrc"
    settings.write_text(SETTINGS.format(port=system.imap_port, login=login, password=PASSWORD, home=home))
    terminal = Terminal(tmux, home / "tmux")
    command = f"{program} -n -F {settings} -d 3 -l {home}/mutt.log"
    terminal.run(
        "new-session", "-d", "-x", "100", "-y", "30", "-e", f"HOME={home}", "-e", "TERM=screen", command
    )
    try:
        yield terminal
    finally:
        terminal.run("kill-server")


def flags(system: System, login: str) -> dict[str, set[str]]:
    """Subjects and flags, as another program sees them."""
    with imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=30) as client:
        client.login(login, PASSWORD)
        client.select("INBOX", readonly=True)
        fetched: Any = client.fetch("1:*", "(FLAGS ENVELOPE)")[1]
    found = {}
    for line in fetched:
        named = imaplib.ParseFlags(line)
        found[line.decode().split('"')[1]] = {flag.decode() for flag in named} - {"\\Recent"}
    return found


def deliver(system: System, login: str, subject: str) -> None:
    with smtplib.SMTP("127.0.0.1", system.smtp_port, timeout=30) as sender:
        sender.sendmail("bob@example.org", [login], letter(subject))


def log(home: Path) -> str:
    """What the last neomutt said and heard."""
    return (home / "mutt.log0").read_text(errors="replace")


def await_flags(system: System, login: str, expected: dict[str, set[str]]) -> None:
    until = time.monotonic() + PATIENCE
    while (found := flags(system, login)) != expected:
        assert time.monotonic() < until, found
        time.sleep(0.1)


def test_neomutt_reads_flags_deletes_and_hears_of_letters(system: System, login: str, tmp_path: Path) -> None:
    """RFC 9051 §6.4.5, §6.4.6, RFC 2177."""
    for subject in ("first", "second", "third"):
        deliver(system, login, subject)
    with neomutt(system, login, tmp_path) as terminal:
        terminal.sees("first", "second", "third", "messages:3")
        terminal.type("1", "Enter", "Enter")
        terminal.sees("This is first.")
        terminal.type("i", "2", "Enter", "F", "3", "Enter", "d", "$")
        terminal.sees("messages:2")
        await_flags(system, login, {"first": {"\\Seen"}, "second": {"\\Flagged"}})
        deliver(system, login, "fourth")
        terminal.sees("fourth", "messages:3")
        terminal.leaves()
    assert "IDLE" in log(tmp_path)


def test_neomutt_comes_back_with_qresync(system: System, login: str, tmp_path: Path) -> None:
    """RFC 7162 §3.2.6: what was expunged, changed and delivered meanwhile, and nothing else."""
    for subject in ("alpha", "beta", "gamma"):
        deliver(system, login, subject)
    with neomutt(system, login, tmp_path) as terminal:
        terminal.sees("alpha", "beta", "gamma", "messages:3")
        terminal.leaves()
    with imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=30) as other:
        other.login(login, PASSWORD)
        other.select("INBOX")
        other.store("3", "+FLAGS", r"(\Deleted)")
        other.store("1", "+FLAGS", r"(\Flagged)")
        other.expunge()
    deliver(system, login, "delta")
    with neomutt(system, login, tmp_path) as terminal:
        assert "gamma" not in terminal.sees("alpha", "beta", "delta", "messages:3")
        assert "! alpha" in " ".join(terminal.screen().split())
        terminal.leaves()
    said = log(tmp_path)
    assert "ENABLE QRESYNC" in said
    assert "VANISHED)" in said
    # NeoMutt 20220429 then counts wrong and reads the flags once more, with Dovecot as with us.
    assert "Handling VANISHED" in said
