"""IMAPClient and imapflow, as programs use them: folders, letters, flags, searches, moves, news while they idle."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from imapclient import IMAPClient

from tests.e2e.system import System
from tests.tools import need

FLOW = Path(__file__).with_name("imapflow")
PASSWORD = "a program's password"
LETTER = b"From: bob@example.org\r\nTo: eve@example.org\r\nSubject: %b\r\n\r\nThis is %b.\r\n"


@pytest.fixture(scope="module")
def login(system: System) -> str:
    """An account for these tests."""
    system.add_account("programs@programs.example.org", PASSWORD)
    return "programs@programs.example.org"


@pytest.fixture
def client(system: System, login: str) -> Iterator[Any]:
    """IMAPClient, logged in."""
    with IMAPClient("127.0.0.1", system.imap_port, ssl=False, timeout=30) as client:
        client.login(login, PASSWORD)
        yield client


def letter(subject: bytes) -> bytes:
    return LETTER % (subject, subject)


def test_imapclient_makes_and_reads_folders(client: Any) -> None:
    """RFC 9051 §6.3."""
    client.create_folder("Projekte/Größe")
    client.subscribe_folder("Projekte/Größe")
    names = {name: flags for flags, _, name in client.list_folders()}
    assert b"\\HasChildren" in names["Projekte"]
    assert client.find_special_folder(b"\\Sent") == "Sent"
    assert "Projekte/Größe" in [name for _, _, name in client.list_sub_folders()]
    client.append("Projekte/Größe", letter(b"one"), [b"\\Flagged"])
    status = client.folder_status("Projekte/Größe", ["MESSAGES", "UNSEEN", "UIDNEXT"])
    assert status == {b"MESSAGES": 1, b"UNSEEN": 1, b"UIDNEXT": 2}
    client.rename_folder("Projekte", "Archiv 2003")
    assert client.folder_exists("Archiv 2003/Größe")
    client.delete_folder("Archiv 2003/Größe")
    assert not client.folder_exists("Archiv 2003/Größe")


def test_imapclient_reads_marks_moves_and_expunges(client: Any) -> None:
    """RFC 9051 §6.4, RFC 6851, RFC 7162 §3.1."""
    client.create_folder("work")
    for subject in (b"one", b"two", b"three"):
        client.append("work", letter(subject))
    selected = client.select_folder("work")
    assert selected[b"EXISTS"] == 3
    assert client.search(["NOT", "SEEN"], charset="UTF-8") == [1, 2, 3]
    fetched = client.fetch([1, 2], ["ENVELOPE", "BODY[]", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE"])
    assert fetched[2][b"ENVELOPE"].subject == b"two"
    assert fetched[1][b"BODY[]"] == letter(b"one")
    assert fetched[1][b"RFC822.SIZE"] == len(letter(b"one"))
    assert fetched[1][b"BODYSTRUCTURE"][:2] == (b"text", b"plain")
    assert client.get_flags([1, 3]) == {1: (b"\\Seen", b"\\Recent"), 3: (b"\\Recent",)}
    client.add_flags([1], [b"$Forwarded", b"\\Deleted"])
    client.move([2], "Archive")
    client.uid_expunge([1])
    assert client.search() == [3]
    client.select_folder("Archive", readonly=True)
    moved = client.fetch(client.search(), ["ENVELOPE", "FLAGS"]).values()
    assert [(each[b"ENVELOPE"].subject, each[b"FLAGS"]) for each in moved] == [
        (b"two", (b"\\Seen", b"\\Recent"))
    ]


def test_imapclient_hears_of_a_letter_while_it_idles(client: Any, system: System, login: str) -> None:
    """RFC 2177."""
    client.create_folder("idle")
    client.select_folder("idle")
    client.idle()
    with IMAPClient("127.0.0.1", system.imap_port, ssl=False, timeout=30) as other:
        other.login(login, PASSWORD)
        other.append("idle", letter(b"news"))
    heard: list[tuple[Any, ...]] = []
    while not any(each[1:] == (b"EXISTS",) for each in heard):
        heard += client.idle_check(timeout=20) or pytest.fail("nothing is heard")
    client.idle_done()
    assert client.fetch("1", ["UID"])[1]


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with imapflow in the version of the lock file."""
    npm = need("npm", "npm")
    need("node", "nodejs")
    folder = tmp_path_factory.mktemp("imapflow")
    shutil.copytree(FLOW, folder, dirs_exist_ok=True)
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run([npm, *words], cwd=folder, capture_output=True, check=False, timeout=100)
    if done.returncode:
        pytest.skip("imapflow cannot be had: npm ci")
    return folder


def test_imapflow_works_as_a_mail_program_does(flow: Path, system: System, login: str) -> None:
    """RFC 7162, RFC 6851, RFC 5258, RFC 2177: what it enables and uses by itself."""
    done = subprocess.run(
        [need("node", "nodejs"), "client.mjs", str(system.imap_port), login, PASSWORD],
        cwd=flow,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["uses"] == {"Sent": "\\Sent", "Trash": "\\Trash"}
    assert found["subjects"] == ["one", "two", "three"]
    assert found["source"] == letter(b"two").decode()
    assert found["flags"] == ["\\Flagged", "\\Seen"]
    assert found["changed"] == [1]
    assert found["moved"] == {"2": 1}
    assert found["left"] == [3]
    assert found["vanished"] == [1]
    assert found["news"] == 2
    assert {"CONDSTORE", "QRESYNC"} & set(found["enabled"])
