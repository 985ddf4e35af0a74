"""From Dovecot and back: what clients know of each message stays. RFC 9051 §2.3.1.1, RFC 1939 §7."""

import poplib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.differential.peer import free_port, running
from tests.e2e.imports import PASSWORD, account, held, messages, numbers
from tests.e2e.system import System
from tests.tools import need

LOGIN = "mover"
SETTINGS = """
protocols = imap pop3
mail_location = maildir:~/Maildir
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Dovecot:
    """One with a Maildir of LOGIN."""

    imap: int
    pop3: int
    maildir: Path


@pytest.fixture
def dovecot(system: System) -> Iterator[Dovecot]:
    """A private one, with TLS by the system's own certificate."""
    need("dovecot", "dovecot-core dovecot-imapd dovecot-pop3d")
    need("pop3", "dovecot-pop3d")
    pop3, tls = free_port(), system.home / "tls"
    settings = SETTINGS.format(certificate=tls / "certificate.pem", key=tls / "key.pem", pop3=pop3)
    # Not in pytest's folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="dovecot-") as folder:
        for imap in running(Path(folder), PASSWORD, settings):
            yield Dovecot(imap, pop3, Path(folder) / "mail" / LOGIN / "Maildir")


def unique_ids(port: int, login: str) -> list[bytes]:
    """What POP3 tells."""
    client = poplib.POP3("127.0.0.1", port)
    client.user(login)
    client.pass_(PASSWORD)
    found = client.uidl()[1]
    client.quit()
    return found


def fill(dovecot: Dovecot, bodies: list[bytes]) -> None:
    """By IMAP, with gaps where messages went, flags, keywords and a folder below another.

    Without NUL, which Dovecot gives out as another octet.
    """
    bodies = [octets.replace(b"\0", b"") for octets in bodies]
    with IMAPClient("127.0.0.1", dovecot.imap, ssl=False) as client:
        client.login(LOGIN, PASSWORD)
        client.create_folder("Work/Grüße")
        for name in ("INBOX", "Work/Grüße"):
            for number, octets in enumerate(bodies):
                client.append(name, octets, ["\\Seen", "$Work"] if number % 3 else ["\\Flagged"])
            client.select_folder(name)
            gone = [uid for uid in client.search("ALL") if uid % 5 == 0]
            client.delete_messages(gone)
            client.expunge()
        client.append("INBOX", bodies[0])
        client.select_folder("INBOX")
        client.delete_messages([max(client.search("ALL"))])
        client.expunge()


@pytest.mark.parametrize("security", ["none", "starttls"])
def test_an_account_moves_here_by_imap_with_all_its_numbers(
    system: System, dovecot: Dovecot, security: str
) -> None:
    """Whoever has the messages already finds them under the same UIDs, and under the same UIDL."""
    fill(dovecot, messages(60))
    address = account(system, f"by-imap-{security}")
    words = [
        "import", "imap", address, "127.0.0.1", "--port", str(dovecot.imap), "--login", LOGIN, "--password-stdin",
        "--security", security, "--certificate", str(system.certificate), "--keep-uids", "--uidl-format", "%08Xu%08Xv",
    ]  # fmt: skip
    done = system.run(*words, stdin=f"{PASSWORD}\n".encode())
    assert done.returncode == 0, done.stderr.decode()
    for name in ("INBOX", "Work/Grüße"):
        theirs = held(dovecot.imap, LOGIN, name)
        assert len(theirs) == 48
        assert held(system.imap_port, address, name) == theirs
        assert numbers(system.imap_port, address, name) == numbers(dovecot.imap, LOGIN, name)
    assert unique_ids(system.pop3_port, address) == unique_ids(dovecot.pop3, LOGIN)
    again = system.run(*words, stdin=f"{PASSWORD}\n".encode())
    assert again.stdout == b"0 imported, 96 were here already\n"


def test_a_wrong_password_and_a_server_that_is_not_there_are_told(system: System, dovecot: Dovecot) -> None:
    """In one line."""
    address = account(system, "wrong")
    words = [
        "import",
        "imap",
        address,
        "127.0.0.1",
        "--login",
        LOGIN,
        "--password-stdin",
        "--security",
        "none",
    ]
    done = system.run(*words, "--port", str(dovecot.imap), stdin=b"wrong")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"Authentication failed" in done.stderr
    assert b"b'" not in done.stderr
    done = system.run(*words, "--port", str(free_port()), stdin=b"wrong")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert b"refused" in done.stderr
    done = system.run(*words[:-1], "starttls", "--port", str(dovecot.imap), stdin=b"wrong")
    assert (done.returncode, b"; --certificate names one" in done.stderr) == (1, True)


def test_dovecot_reads_its_maildir_after_we_did_and_ours_as_its_own(system: System, dovecot: Dovecot) -> None:
    """Its files are imported without it; what we export, it serves under the same numbers."""
    bodies = messages(120)
    fill(dovecot, bodies[:40])
    theirs, before = held(dovecot.imap, LOGIN), numbers(dovecot.imap, LOGIN)
    told = unique_ids(dovecot.pop3, LOGIN)
    address = account(system, "by-files")
    assert system.run("import", "maildir", address, str(dovecot.maildir), "--keep-uids").returncode == 0
    assert held(system.imap_port, address) == theirs
    assert numbers(system.imap_port, address) == before
    assert unique_ids(system.pop3_port, address) == told
    out = dovecot.maildir.parents[1] / "back" / "Maildir"
    assert system.run("export", "maildir", address, str(out)).returncode == 0
    for path in (out.parent, *out.parent.rglob("*")):
        shutil.chown(path, dovecot.maildir.parent.stat().st_uid, dovecot.maildir.parent.stat().st_gid)
    for name in ("INBOX", "Work/Grüße"):
        assert held(dovecot.imap, "back", name) == held(system.imap_port, address, name)
        assert numbers(dovecot.imap, "back", name) == numbers(system.imap_port, address, name)
    assert unique_ids(dovecot.pop3, "back") == told


def test_mbsync_has_nothing_to_do_after_a_move(system: System, dovecot: Dovecot, tmp_path: Path) -> None:
    """It was in step with Dovecot, and goes on here."""
    program = need("mbsync", "isync")
    fill(dovecot, messages(30))
    address = account(system, "in-step")
    local = tmp_path / "local"
    local.mkdir()

    def sync(port: int, login: str) -> None:
        (tmp_path / "mbsyncrc").write_text(
            f"""
            IMAPAccount there
            Host 127.0.0.1
            Port {port}
            User {login}
            Pass {PASSWORD}
            SSLType None
            AuthMechs LOGIN

            IMAPStore far
            Account there

            MaildirStore near
            Path {local}/
            Inbox {local}/INBOX
            SubFolders Verbatim

            Channel all
            Far :far:
            Near :near:
            Patterns INBOX
            Create Near
            SyncState *
            """
        )
        command = [program, "-V", "-c", str(tmp_path / "mbsyncrc"), "all"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    sync(dovecot.imap, LOGIN)
    kept = {file.name: file.read_bytes() for file in (local / "INBOX").rglob("*,U=*")}
    # It does not take what has no header.
    assert 20 <= len(kept) <= 24
    assert system.run("import", "maildir", address, str(dovecot.maildir), "--keep-uids").returncode == 0
    sync(system.imap_port, address)
    assert {file.name: file.read_bytes() for file in (local / "INBOX").rglob("*,U=*")} == kept
