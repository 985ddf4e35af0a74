"""Programs that keep Maildirs in step with a mailbox: mbsync and offlineimap, each with two Maildirs over one account.

The rule: what one Maildir gets, marks or loses, the other gets, marks or loses; a run without changes changes nothing.
"""

import imaplib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.system import System
from tests.tools import need

PASSWORD = "maildirs in step"
Sync = Callable[[Path], str]


@pytest.fixture
def login(system: System, request: pytest.FixtureRequest) -> str:
    """An account for the test."""
    program = request.node.originalname.removeprefix("test_").partition("_")[0]
    address = f"{program}-{uuid4().hex[:8]}@maildirs.example.org"
    system.add_account(address, PASSWORD)
    return address


def letter(subject: str) -> bytes:
    return (
        f"From: bob@example.org\nSubject: {subject}\nDate: Mon, 3 Feb 2003 04:05:06 +0100\n"
        f"Message-ID: <{subject}@example.org>\n\nThis is {subject}.\n"
    ).encode()


def put(maildir: Path, subject: str, flags: str = "") -> None:
    """A new message, as a local program would leave it."""
    folder = maildir / ("cur" if flags else "new")
    name = f"{time.time_ns()}.{subject}.here" + (f":2,{flags}" if flags else "")
    (folder / name).write_bytes(letter(subject))


def held(maildir: Path) -> dict[str, str]:
    """Subjects and flags of what a Maildir holds."""
    found = {}
    for path in (*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()):
        text = path.read_bytes().decode()
        subject = text.partition("Subject: ")[2].splitlines()[0]
        assert f"This is {subject}." in text
        found[subject] = path.name.partition(":2,")[2]
    return found


def find(maildir: Path, subject: str) -> Path:
    return next(
        path
        for path in (*(maildir / "cur").iterdir(), *(maildir / "new").iterdir())
        if f"Subject: {subject}\n".encode() in path.read_bytes().replace(b"\r\n", b"\n")
    )


def mark(maildir: Path, subject: str, flags: str) -> None:
    path = find(maildir, subject)
    path.rename(maildir / "cur" / f"{path.name.partition(':2,')[0]}:2,{flags}")


def make(maildir: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True)
    return maildir


def state(system: System, login: str) -> list[bytes]:
    """What the server holds: any change shows in it."""
    with imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=30) as client:
        client.login(login, PASSWORD)
        told = client.status("INBOX", "(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")[1]
        return [bytes(each) for each in told if isinstance(each, bytes)]


def append(system: System, login: str, subject: str, flags: str = "") -> None:
    with imaplib.IMAP4("127.0.0.1", system.imap_port, timeout=30) as client:
        client.login(login, PASSWORD)
        assert client.append("INBOX", flags, "", letter(subject).replace(b"\n", b"\r\n"))[0] == "OK"


def converge(sync: Sync, maildirs: list[Path]) -> None:
    """The first brings its changes, the second gets them and brings its own, the first gets those."""
    for maildir in (*maildirs, maildirs[0]):
        sync(maildir)


def live(system: System, login: str, sync: Sync, one: Path, other: Path) -> None:
    """A life of two Maildirs and a server."""
    maildirs = [one, other]
    put(one, "from-one")
    put(one, "seen-in-one", "S")
    put(other, "from-other")
    append(system, login, "from-server", r"(\Flagged)")
    converge(sync, maildirs)
    expected = {"from-one": "", "seen-in-one": "S", "from-other": "", "from-server": "F"}
    assert held(one) == held(other) == expected

    mark(one, "from-one", "FS")
    mark(other, "from-other", "RS")
    mark(other, "seen-in-one", "")
    put(other, "second")
    converge(sync, maildirs)
    expected |= {"from-one": "FS", "from-other": "RS", "seen-in-one": "", "second": ""}
    assert held(one) == held(other) == expected

    find(one, "from-server").unlink()
    find(other, "from-one").unlink()
    append(system, login, "last")
    converge(sync, maildirs)
    expected = {"seen-in-one": "", "from-other": "RS", "second": "", "last": ""}
    assert held(one) == held(other) == expected

    before = state(system, login)
    files = [sorted(path.name for path in maildir.rglob("*")) for maildir in maildirs]
    for maildir in maildirs:
        sync(maildir)
    assert state(system, login) == before
    assert [sorted(path.name for path in maildir.rglob("*")) for maildir in maildirs] == files


@pytest.mark.parametrize("tls", [False, True])
def test_mbsync_keeps_two_maildirs_in_step(system: System, login: str, tmp_path: Path, tls: bool) -> None:
    """RFC 9051 §6.3, §6.4; over TLS with the certificate of the card, at the address of the card."""
    program = need("mbsync", "isync")
    secured = f"SSLType STARTTLS\nCertificateFile {system.certificate}" if tls else "SSLType None"

    def sync(maildir: Path) -> str:
        config = maildir.parent / f"{maildir.name}.rc"
        config.write_text(
            f'IMAPAccount far\nHost 127.0.0.1\nPort {system.imap_port}\nUser {login}\nPass "{PASSWORD}"\n'
            f"{secured}\nAuthMechs LOGIN\nTimeout 20\n\nIMAPStore far\nAccount far\n\n"
            f"MaildirStore near\nPath {maildir.parent}/\nInbox {maildir}\n\n"
            "Channel both\nFar :far:\nNear :near:\nCreate Near\nExpunge Both\nCopyArrivalDate yes\n"
            f"SyncState {maildir.parent / maildir.name}.state\n"
        )
        done = subprocess.run(
            [program, "-c", str(config), "both"], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    live(system, login, sync, make(tmp_path / "one"), make(tmp_path / "other"))


@pytest.mark.parametrize("tls", [False, True])
def test_offlineimap_keeps_two_maildirs_in_step(
    system: System, login: str, tmp_path: Path, tls: bool
) -> None:
    """RFC 9051 §6.3, §6.4; over TLS with the certificate of the card, at the address of the card."""
    program = need("offlineimap", "offlineimap3")
    port = system.imaps_port if tls else system.imap_port
    secured = f"ssl = yes\nsslcacertfile = {system.certificate}" if tls else "ssl = no"

    def sync(maildir: Path) -> str:
        config = maildir.parent.parent / f"{maildir.parent.name}.rc"
        config.write_text(
            f"[general]\naccounts = a\nmetadata = {maildir.parent}.meta\nui = quiet\n"
            "[Account a]\nlocalrepository = near\nremoterepository = far\n"
            f"[Repository near]\ntype = Maildir\nlocalfolders = {maildir.parent}\n"
            f"[Repository far]\ntype = IMAP\nremotehost = 127.0.0.1\nremoteport = {port}\n"
            f"remoteuser = {login}\nremotepass = {PASSWORD}\n{secured}\nstarttls = no\nauth_mechanisms = PLAIN\n"
            "folderfilter = lambda name: name == 'INBOX'\n"
        )
        done = subprocess.run(
            [program, "-o", "-c", str(config)], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    live(system, login, sync, make(tmp_path / "one" / "INBOX"), make(tmp_path / "other" / "INBOX"))
