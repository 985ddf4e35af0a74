"""`restante import` as people run it: each message once, whatever stops it, with the numbers that clients know."""

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.imports import PASSWORD, account, held, make_maildir, messages, numbers
from tests.e2e.system import RESTANTE, System, await_that, running


def summary(done: "subprocess.CompletedProcess[bytes]", code: int = 0) -> dict[str, object]:
    """What it said as JSON."""
    assert done.returncode == code, done.stderr.decode()
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_a_maildir_comes_with_its_uids_flags_dates_and_octets(system: System, tmp_path: Path) -> None:
    """And a second import brings nothing, but for what is new."""
    address, bodies = account(system, "whole"), messages(130)
    make_maildir(tmp_path / "mail", bodies)
    words = ("import", "maildir", address, str(tmp_path / "mail"), "--keep-uids", "--json")
    assert summary(system.run(*words))["imported"] == 130
    found = held(system.imap_port, address)
    assert [found[uid].octets for uid in sorted(found)] == bodies
    assert sorted(found) == [3 * number + 7 for number in range(130)]
    assert found[10].flags == {"\\Seen", "\\Flagged", "$Work"}
    assert found[10].at.timestamp() == 1_600_000_001
    assert numbers(system.imap_port, address) == (1234567, 440)
    (tmp_path / "mail" / "new" / "later").write_bytes(b"Subject: later\n\nx\n")
    assert summary(system.run(*words)) == {"imported": 1, "already": 130, "left_out": [], "notes": []}
    assert held(system.imap_port, address)[440].octets == b"Subject: later\r\n\r\nx\r\n"
    assert system.run("verify", address).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_was_stopped_goes_on_and_doubles_nothing(
    system: System, tmp_path: Path, number: signal.Signals
) -> None:
    """In the middle, while messages are being stored; several times."""
    address, bodies = account(system, f"stopped-{number.name.lower()}"), messages(1500)
    make_maildir(tmp_path / "mail", bodies)
    words = ["import", "maildir", address, str(tmp_path / "mail"), "--keep-uids"]
    for at_least in (1, 600):
        process = subprocess.Popen(
            [RESTANTE, *words], env=system.environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        await_that(lambda: numbers(system.imap_port, address)[1] > 3 * at_least, "nothing is imported")  # noqa: B023
        process.send_signal(number)
        _, said = process.communicate()
        if process.returncode:
            assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
            assert (b"goes on from there" in said) == (number == signal.SIGINT)
    done = summary(system.run(*words, "--json"))
    assert isinstance(done["already"], int)
    assert 0 < done["already"] < 1500
    assert done["imported"] == 1500 - done["already"]
    found = held(system.imap_port, address)
    assert sorted(found) == [3 * each + 7 for each in range(1500)]
    assert [found[uid].octets for uid in sorted(found)] == bodies


def test_a_copy_of_storage_that_dies_meanwhile_is_waited_for(tmp_path: Path) -> None:
    """What it may have stored is sent again, and is there once."""
    with running(tmp_path / "home") as system:
        address, bodies = account(system, "outlived"), messages(1500)
        make_maildir(tmp_path / "mail", bodies)
        words = [RESTANTE, "import", "maildir", address, str(tmp_path / "mail"), "--json"]
        process = subprocess.Popen(words, env=system.environment, stdout=subprocess.PIPE)
        await_that(lambda: numbers(system.imap_port, address)[1] > 1, "nothing is imported")
        system.restart("storage", signal.SIGKILL)
        said = json.loads(process.communicate()[0])
        assert (process.returncode, said["left_out"]) == (0, [])
        assert said["imported"] + said["already"] == 1500
        found = held(system.imap_port, address)
        assert [found[uid].octets for uid in sorted(found)] == bodies


def test_an_mbox_comes_whole_and_a_broken_folder_is_named(system: System, tmp_path: Path) -> None:
    """What cannot be taken makes the exit code 1, and stops nothing."""
    address, bodies = account(system, "mbox"), messages(40)
    line = b"From x Mon Nov  2 10:00:01 2026\n"
    (tmp_path / "mail").mkdir()
    quoted = [re.sub(rb"^(>*From )", rb">\1", body, flags=re.MULTILINE) for body in bodies]
    ends = [body if body.endswith(b"\n") else body + b"\n" for body in quoted]
    (tmp_path / "mail" / "Old.mbox").write_bytes(b"".join(line + body + b"\n" for body in ends))
    (tmp_path / "mail" / "no * name.mbox").write_bytes(line + bodies[0] + b"\n")
    (tmp_path / "mail" / "notes").write_bytes(b"no mail")
    done = system.run("import", "mbox", address, str(tmp_path / "mail"), "--json")
    said = summary(done, 1)
    assert said["imported"] == 40
    left_out = said["left_out"]
    assert isinstance(left_out, list)
    assert [each["name"] for each in left_out] == [str(tmp_path / "mail" / "notes"), "mailbox no * name"]
    found = held(system.imap_port, address, "Old")
    expected = [body if body.endswith(b"\n") else body + b"\r\n" for body in bodies]
    assert [found[uid].octets.rstrip(b"\r\n") for uid in sorted(found)] == [
        body.rstrip(b"\r\n") for body in expected
    ]
    assert {each.at.timestamp() for each in found.values()} == {1793613601}


def test_uids_of_elsewhere_are_refused_where_the_mailbox_has_its_own(system: System, tmp_path: Path) -> None:
    """And it says what stays out."""
    address = account(system, "late")
    make_maildir(tmp_path / "mail", messages(3))
    assert system.run("import", "maildir", address, str(tmp_path / "mail")).returncode == 0
    done = system.run("import", "maildir", address, str(tmp_path / "mail"), "--keep-uids")
    assert done.returncode == 1
    assert b"mailbox INBOX: the mailbox holds messages" in done.stderr


def test_a_quota_leaves_out_what_it_does_not_hold(system: System, tmp_path: Path) -> None:
    """Each by its name; raised, the same command brings the rest."""
    address = account(system, "small")
    make_maildir(tmp_path / "mail", messages(5))
    assert system.run("account", "quota", address, "--messages", "2").returncode == 0
    words = ("import", "maildir", address, str(tmp_path / "mail"), "--json")
    said = summary(system.run(*words), 1)
    assert (said["imported"], len(str(said["left_out"]).split("Over quota"))) == (2, 4)
    assert system.run("account", "quota", address, "--messages", "0").returncode == 0
    assert summary(system.run(*words))["imported"] == 3


def test_a_quota_that_is_raised_lets_the_rest_come_under_its_uids(system: System, tmp_path: Path) -> None:
    """Whatever is smaller, and would fit, waits behind what does not."""
    address, bodies = account(system, "raised"), messages(600)
    make_maildir(tmp_path / "mail", bodies)
    assert system.run("account", "quota", address, "--messages", "450").returncode == 0
    words = ("import", "maildir", address, str(tmp_path / "mail"), "--keep-uids", "--json")
    said = summary(system.run(*words), 1)
    assert said["imported"] == 450
    assert "over quota: what is left waits" in str(said["left_out"])
    assert system.run("account", "quota", address, "--messages", "0").returncode == 0
    assert summary(system.run(*words))["imported"] == 150
    assert sorted(held(system.imap_port, address)) == [3 * each + 7 for each in range(600)]


def test_pop3_tells_the_same_unique_ids_as_before(system: System, tmp_path: Path) -> None:
    """RFC 1939 §7: as Dovecot made them, or as it had them of a server before."""
    import poplib

    address = account(system, "pop")
    make_maildir(tmp_path / "mail", messages(2))
    listed = tmp_path / "mail" / "dovecot-uidlist"
    listed.write_text(listed.read_text().replace("7 :", "7 Pfrom-before :", 1))
    assert system.run("import", "maildir", address, str(tmp_path / "mail"), "--keep-uids").returncode == 0
    client = poplib.POP3("127.0.0.1", system.pop3_port)
    client.user(address)
    client.pass_(PASSWORD)
    assert client.uidl()[1] == [b"1 from-before", b"2 0000000a0012d687"]
    assert client.uidl(2) == b"+OK 2 0000000a0012d687"
    client.quit()


def test_progress_is_seen_at_a_terminal_and_nowhere_else(system: System, tmp_path: Path) -> None:
    """Folder, bar, count, rate and what is left; a pipe gets the last line alone."""
    address = account(system, "seen")
    make_maildir(tmp_path / "mail", messages(1200))
    words = [RESTANTE, "import", "maildir", address, str(tmp_path / "mail")]
    ours, theirs = pty.openpty()
    environment = {**system.environment, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while octets := os.read(ours, 65536):
            seen += octets
    except OSError:
        pass  # the terminal ends with its last writer
    assert process.communicate()[0] == b"1,200 imported\n"
    assert b"INBOX" in seen
    assert b"1,200 messages" in seen
    assert b"/s" in seen
    quiet = system.run(*words[1:])
    assert (quiet.stdout, quiet.stderr) == (b"0 imported, 1,200 were here already\n", b"")
