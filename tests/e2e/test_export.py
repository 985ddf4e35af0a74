"""`restante export` as people run it: octets exact, read back by Python's mailbox module and by our own import."""

import json
import mailbox
import re
import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.e2e.imports import PASSWORD, account, held, make_maildir, messages, numbers
from tests.e2e.system import RESTANTE, System, await_that


def filled(system: System, path: Path, name: str, count: int) -> tuple[str, list[bytes]]:
    """An account with so many messages in INBOX, and a mailbox below another."""
    address, bodies = account(system, name), messages(count)
    make_maildir(path / "mail", bodies)
    make_maildir(path / "mail" / ".Work.v1\\2e2", bodies[:3])
    (path / "mail" / ".Work.v1\\2e2" / "dovecot-uidlist").write_text("3 V99 N9\n")
    done = system.run("import", "maildir", address, str(path / "mail"), "--keep-uids")
    assert done.returncode == 0, done.stderr.decode()
    return address, bodies


def test_a_maildir_has_everything_and_comes_back_as_it_was(system: System, tmp_path: Path) -> None:
    """Octets, flags, keywords, dates, UIDVALIDITY, UIDs and UIDL: one account is another's, by way of files."""
    address, bodies = filled(system, tmp_path, "out", 130)
    out = tmp_path / "out"
    done = system.run("export", "maildir", address, str(out), "--json")
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert (said["messages"], said["missing"], said["notes"]) == (133, [], [])
    assert not (out / "MISSING").exists()
    read = mailbox.Maildir(out, create=False)
    assert sorted(read.get_bytes(key) for key in read.keys()) == sorted(bodies)  # noqa: SIM118 - no dict
    assert len(mailbox.Maildir(out / ".Work.v1\\2e2", create=False)) == 3
    again = account(system, "out-again")
    assert system.run("import", "maildir", again, str(out), "--keep-uids").returncode == 0
    for name in ("INBOX", "Work/v1.2"):
        assert held(system.imap_port, again, name) == held(system.imap_port, address, name)
        assert numbers(system.imap_port, again, name) == numbers(system.imap_port, address, name)


def test_an_mbox_comes_back_as_it_was(system: System, tmp_path: Path) -> None:
    """Octets and dates; a last line without an end gets one."""
    address, bodies = filled(system, tmp_path, "mboxes", 60)
    out = tmp_path / "out"
    assert system.run("export", "mbox", address, str(out)).returncode == 0
    ended = [body if body.endswith(b"\n") else body + b"\n" for body in bodies]
    assert any(b"\nFrom " in body for body in ended)
    quoted = [re.sub(rb"^(>*From )", rb">\1", body, flags=re.MULTILINE) for body in ended]
    with closing(mailbox.mbox(out / "INBOX.mbox", create=False)) as read:
        assert [read.get_bytes(key) for key in read.keys()] == quoted  # noqa: SIM118 - no dict
    again = account(system, "mboxes-again")
    assert system.run("import", "mbox", again, str(out), "--keep-line-ends").returncode == 0
    found = held(system.imap_port, again)
    assert [found[uid].octets for uid in sorted(found)] == ended
    before = held(system.imap_port, address)
    assert [each.at for _, each in sorted(found.items())] == [each.at for _, each in sorted(before.items())]
    assert len(held(system.imap_port, again, "Work/v1.2")) == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_export_that_was_stopped_says_so_and_goes_on(
    system: System, tmp_path: Path, number: signal.Signals
) -> None:
    """Every file in cur is whole, and none is written twice; until the end MISSING is there."""
    address, bodies = filled(system, tmp_path, f"stopping-{number.name.lower()}", 1500)
    out = tmp_path / "out"
    words = [RESTANTE, "export", "maildir", address, str(out)]
    process = subprocess.Popen(words, env=system.environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    cur = out / "cur"
    await_that(lambda: cur.exists() and len(list(cur.iterdir())) > 50, "nothing is exported")
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert (b"goes on from there" in said) == (number == signal.SIGINT)
    assert (out / "MISSING").read_text().startswith(f"restante export maildir {address}\n")
    written = {file.name: file.stat().st_ino for file in cur.iterdir()}
    assert len(written) < 1500
    done = system.run(*words[1:])
    assert done.returncode == 0, done.stderr.decode()
    assert not (out / "MISSING").exists()
    after = {file.name: file.stat().st_ino for file in cur.iterdir()}
    assert written.items() <= after.items()
    assert sorted(file.read_bytes() for file in cur.iterdir()) == sorted(bodies)
    assert list((out / "tmp").iterdir()) == []


def test_nothing_is_written_into_what_is_somebody_elses(system: System, tmp_path: Path) -> None:
    """A folder with files, a whole export, another account's, another kind's."""
    address, _ = filled(system, tmp_path, "careful", 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    done = system.run("export", "maildir", address, str(tmp_path / "full"))
    assert (done.returncode, b"is not empty" in done.stderr) == (1, True)
    assert system.run("export", "maildir", address, str(tmp_path / "whole")).returncode == 0
    assert system.run("export", "maildir", address, str(tmp_path / "whole")).returncode == 1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "MISSING").write_text(f"restante export mbox {address}\n")
    done = system.run("export", "maildir", address, str(tmp_path / "other"))
    assert (done.returncode, b"another export" in done.stderr) == (1, True)


def test_a_mailbox_that_cannot_be_written_is_named_and_the_rest_is_there(
    system: System, tmp_path: Path
) -> None:
    """Its name is too long for a file."""
    address, _ = filled(system, tmp_path, "long", 3)
    name = "ü" * 100
    with IMAPClient("127.0.0.1", system.imap_port, ssl=False) as client:
        client.login(address, PASSWORD)
        client.create_folder(name)
    done = system.run("export", "maildir", address, str(tmp_path / "out"))
    assert done.returncode == 1
    assert f"missing: mailbox {name}:".encode() in done.stderr
    assert f"mailbox {name}:" in (tmp_path / "out" / "MISSING").read_text()
    assert len(list((tmp_path / "out" / "cur").iterdir())) == 3
