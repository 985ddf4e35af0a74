"""The command line as an operator uses it: real processes over a running system."""

import imaplib
import json
import os
import poplib
import pty
import select
import smtplib
import subprocess
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.e2e.system import RESTANTE, System
from tests.faults.cluster import door

PASSWORD = "a secret"


@pytest.fixture
def domain(system: System) -> str:
    """A domain of the test's own."""
    name = f"{uuid4().hex[:8]}.test"
    told(system, "domain", "add", name)
    return name


def told(system: System, *words: str, stdin: bytes = b"") -> list[str]:
    """What a command prints that succeeds, line by line."""
    done = system.run(*words, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


def refused(system: System, *words: str, stdin: bytes = b"", code: int = 1) -> str:
    """The one line with which a command refuses."""
    done = system.run(*words, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, b"")
    text = done.stderr.decode()
    assert text.startswith("restante: ")
    assert text.count("\n") == 1
    return text


def objects(system: System, *words: str) -> list[dict[str, object]]:
    """What a command answers to programs."""
    return [json.loads(line) for line in told(system, *words, "--json")]


def add(system: System, *addresses: str) -> None:
    """Makes accounts."""
    for address in addresses:
        told(system, "account", "add", address, "--password-stdin", stdin=PASSWORD.encode())


def send(system: System, *recipients: str) -> None:
    """Sends a letter to all of these at once."""
    with smtplib.SMTP("127.0.0.1", system.smtp_port) as smtp:
        assert smtp.sendmail("bob@example.net", recipients, f"Subject: {uuid4().hex}\r\n\r\nhello\r\n") == {}


def in_terminal(system: System, typed: list[bytes], *words: str, columns: int = 80) -> tuple[int, str]:
    """Runs a command in a terminal; each line is typed once the command asks for something."""
    leader, follower = pty.openpty()
    environment = {**system.environment, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen(
        [RESTANTE, *words], stdin=follower, stdout=follower, stderr=follower, env=environment,
        cwd=system.home, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    waiting = iter(typed)
    try:
        for octets in read_all(leader):
            shown += octets
            if octets.endswith((b": ", b"] ")) and (line := next(waiting, None)) is not None:
                os.write(leader, line)
    finally:
        os.close(leader)
    return process.wait(60), shown.decode().replace("\r\n", "\n")


def read_all(terminal: int) -> Iterator[bytes]:
    """What is shown, until the last process has let the terminal go."""
    while True:
        select.select([terminal], [], [], 60)
        try:
            octets = os.read(terminal, 65536)
        except OSError:
            return
        if not octets:
            return
        yield octets


def test_a_domain_is_taken_and_given_back(system: System, domain: str) -> None:
    """add, list, remove; one with addresses stays."""
    assert {"domain": domain} in objects(system, "domain", "list")
    assert told(system, "domain", "list")[0] == "DOMAIN"
    add(system, f"a@{domain}")
    assert "restante account list" in refused(system, "domain", "remove", domain)
    told(system, "account", "remove", f"a@{domain}", "--yes")
    told(system, "domain", "remove", domain)
    assert "restante domain add" in refused(system, "domain", "remove", domain)
    assert domain not in told(system, "domain", "list")


def test_a_letter_to_an_alias_arrives_once_in_each_account(system: System, domain: str) -> None:
    """Over real sockets, with recipients that overlap. RFC 5321 §3.9.1."""
    names = [f"{name}@{domain}" for name in ("alice", "bob", "carol")]
    add(system, *names)
    told(system, "alias", "add", f"all@{domain}", *names)
    told(system, "alias", "add", f"some@{domain}", names[1], names[2])
    told(system, "alias", "add", f"@{domain}", f"some@{domain}")
    send(system, f"all@{domain}", f"some@{domain}", names[0], f"all+x@{domain}", f"whoever@{domain}")
    send(system, f"whoever@{domain}")
    held = {row["address"]: row["messages"] for row in objects(system, "account", "list", f"@{domain}")}
    assert held == {names[0]: 1, names[1]: 2, names[2]: 2}


def test_aliases_are_made_listed_and_removed(system: System, domain: str) -> None:
    """Each refusal says what to do."""
    alice, bob, alias = f"alice@{domain}", f"bob@{domain}", f"sales@{domain}"
    add(system, alice, bob)
    for _ in range(2):
        told(system, "alias", "add", alias, alice, bob)
    told(system, "alias", "add", f"@{domain}", alias)
    lines = told(system, "alias", "list")
    assert lines[0].split() == ["ALIAS", "LEADS", "TO"]
    assert [line.split() for line in lines if domain in line] == [
        [f"@{domain}", alias], [alias, alice], [alias, bob],
    ]  # fmt: skip
    assert objects(system, "alias", "list", bob) == [{"address": alias, "targets": [alice, bob]}]
    assert "restante alias list" in refused(system, "alias", "add", alias, alias)
    assert "restante account list" in refused(system, "alias", "add", alias, f"nobody@{domain}")
    assert "restante domain add" in refused(system, "alias", "add", "a@elsewhere.test", alice)
    assert "restante alias list" in refused(system, "alias", "remove", f"nobody@{domain}")
    told(system, "alias", "remove", alias, bob)
    assert objects(system, "alias", "list", alice) == [{"address": alias, "targets": [alice]}]
    told(system, "account", "remove", alice, "--yes")
    assert system.run("alias", "list", alice).stderr.decode() == f"no alias leads to {alice}\n"


def test_a_password_is_typed_twice_and_never_shown(system: System, domain: str) -> None:
    """At a terminal; nothing is made where the two differ, and none is asked for without one."""
    address = f"typed@{domain}"
    code, shown = in_terminal(system, [b"one\n", b"two\n"], "account", "add", address)
    assert (code, shown.splitlines()[-1]) == (1, "restante: the two passwords differ; nothing was changed")
    code, shown = in_terminal(system, [b"hidden\n", b"hidden\n"], "account", "add", address)
    assert (code, shown.splitlines()[-1]) == (0, f"{address} added")
    assert "hidden" not in shown
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as imap:
        imap.login(address, "hidden")
    assert "--password-stdin" in refused(system, "account", "password", address, code=2)
    told(system, "account", "password", address, "--password-stdin", stdin=b"other\n")
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as imap:
        imap.login(address, "other")
    assert "restante account list" in refused(
        system, "account", "password", f"x@{domain}", "--password-stdin", stdin=b"x"
    )


def test_a_quota_is_set_as_people_write_it(system: System, domain: str) -> None:
    """And the account is listed by how full it is."""
    address = f"full@{domain}"
    add(system, address, f"empty@{domain}")
    assert told(system, "account", "quota", address, "--bytes", "1.5GB", "--messages", "2") == [
        "size      0 B of 1.50 GB", "messages  0 of 2",
    ]  # fmt: skip
    send(system, address)
    (row,) = objects(system, "account", "list", f"@{domain}", "--full", "50")
    assert (row["address"], row["messages"], row["quota_messages"], row["full"]) == (address, 1, 2, 0.5)
    told(system, "account", "quota", address, "--bytes", "1MiB")
    (shown,) = objects(system, "account", "show", address)
    assert (shown["quota_bytes"], shown["quota_messages"]) == (2**20, 2)
    wrong = system.run("account", "quota", address, "--bytes", "huge")
    assert (wrong.returncode, b"5GB" in wrong.stderr) == (2, True)


def test_a_disabled_account_stays_and_comes_back(system: System, domain: str) -> None:
    """It neither logs in nor takes mail, and whoever was in is out."""
    address = f"closed@{domain}"
    add(system, address)
    imap = imaplib.IMAP4("127.0.0.1", system.imap_port)
    imap.login(address, PASSWORD)
    await_sessions(system, address, 1)
    told(system, "account", "disable", address)
    assert b"* BYE" in imap.readline()
    imap.shutdown()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(system, address)
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as again, pytest.raises(imaplib.IMAP4.error):
        again.login(address, PASSWORD)
    (row,) = objects(system, "account", "enable", address)
    assert row["is_enabled"] is True
    send(system, address)


def test_an_account_is_removed_with_its_sessions_once_somebody_is_sure(system: System, domain: str) -> None:
    """Its address takes no mail then, and may be given anew."""
    address = f"gone@{domain}"
    add(system, address)
    send(system, address)
    code, shown = in_terminal(system, [b"n\n"], "account", "remove", address)
    assert (code, shown.splitlines()[-1]) == (1, "restante: nothing was changed")
    assert "--yes" in refused(system, "account", "remove", address, code=2)
    pop = poplib.POP3("127.0.0.1", system.pop3_port)
    pop.user(address)
    pop.pass_(PASSWORD)
    await_sessions(system, address, 1)
    code, shown = in_terminal(system, [b"y\n"], "account", "remove", address)
    assert (code, shown.splitlines()[-1]) == (0, f"{address} removed")
    assert "Remove gone@" in shown
    assert "with 1 messages?" in shown
    assert pop.sock.recv(100).startswith(b"-ERR ")
    pop.close()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(system, address)
    add(system, address)
    (row,) = objects(system, "account", "list", address)
    assert row["messages"] == 0


def test_folders_are_made_renamed_and_removed(system: System, domain: str) -> None:
    """What a client sees by IMAP is what the commands did."""
    address = f"folders@{domain}"
    add(system, address)
    told(system, "folder", "create", address, "Work/Bills")
    told(system, "folder", "create", address, "Über")
    narrow = {**system.environment, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([RESTANTE, "folder", "list", address], env=narrow, capture_output=True, check=True)
    assert b"\n?ber " in done.stdout
    told(system, "folder", "remove", address, "Über")
    told(system, "folder", "rename", address, "Work", "Job")
    rows = {str(row["name"]): row for row in objects(system, "folder", "list", address)}
    assert sorted(rows) == ["Archive", "Drafts", "INBOX", "Job", "Job/Bills", "Junk", "Sent", "Trash"]
    assert rows["Job/Bills"]["is_subscribed"] is True
    assert rows["Sent"]["special_use"] == "\\Sent"
    told(system, "folder", "create", address, "INBOX/Lists")
    told(system, "folder", "rename", address, "inbox", "Read")  # INBOX stays, and so do those below it
    rows = {str(row["name"]): row for row in objects(system, "folder", "list", address)}
    assert all(rows[name]["is_subscribed"] for name in ("INBOX", "INBOX/Lists", "Read"))
    told(system, "folder", "rename", address, "inbox/Lists", "Lists")
    rows = {str(row["name"]): row for row in objects(system, "folder", "list", address)}
    assert rows["Lists"]["is_subscribed"] is True
    with imaplib.IMAP4("127.0.0.1", system.imap_port) as imap:
        imap.login(address, PASSWORD)
        assert any(
            b'"Job/Bills"' in line or b"Job/Bills" in line
            for line in imap.lsub()[1]
            if isinstance(line, bytes)
        )
        imap.append("Job/Bills", "", "", b"Subject: x\r\n\r\n")
    assert "below it first" in refused(system, "folder", "remove", address, "Job")
    assert "--yes" in refused(system, "folder", "remove", address, "Job/Bills", code=2)
    told(system, "folder", "remove", address, "Job/Bills", "--yes")
    told(system, "folder", "remove", address, "Job")
    assert "restante folder list" in refused(system, "folder", "remove", address, "Job")
    wrong = system.run("folder", "create", address, "More", "--use", "nothing")
    assert (wrong.returncode, b"drafts" in wrong.stderr) == (2, True)


def test_sessions_of_all_copies_are_listed_and_ended(system: System, domain: str) -> None:
    """Who, by which protocol, from where; a client reads BYE or -ERR, and another's session goes on."""
    address, other = f"in@{domain}", f"other@{domain}"
    add(system, address, other)
    with door(system, "imap", system.grpc_target) as second:
        ports = (system.imap_port, second["port"], second["port"])
        here, there, stays = (imaplib.IMAP4("127.0.0.1", port) for port in ports)
        for imap, login in ((here, address), (there, address), (stays, other)):
            imap.login(login, PASSWORD)
        pop = poplib.POP3("127.0.0.1", system.pop3_port)
        pop.user(address)
        pop.pass_(PASSWORD)
        rows = await_sessions(system, address, 3)
        assert [(row["door"], row["address"], row["peer"]) for row in rows] == [
            ("imap", address, "127.0.0.1"), ("imap", address, "127.0.0.1"), ("pop3", address, "127.0.0.1"),
        ]  # fmt: skip
        lines = told(system, "sessions", "list", address)
        assert lines[0].split() == ["SESSION", "ACCOUNT", "PROTOCOL", "FROM", "SINCE"]
        (short,) = (line.split()[0] for line in lines if " pop3 " in line)
        assert str(rows[2]["session_id"]).replace("-", "").startswith(short)
        told(system, "sessions", "end", short)
        assert pop.sock.recv(100).startswith(b"-ERR ")
        await_sessions(system, address, 2)
        assert len(told(system, "sessions", "end", "--account", address)) == 2
        assert all(b"* BYE" in imap.readline() for imap in (here, there))
        assert stays.noop()[0] == "OK"
        await_sessions(system, address, 0)
        assert "restante sessions list" in refused(system, "sessions", "end", short, code=2)
        assert "--account" in refused(system, "sessions", "end", code=2)
        for imap in (here, there, stays):
            imap.shutdown()
        pop.close()


def await_sessions(system: System, address: str, count: int) -> list[dict[str, object]]:
    """The account's sessions once there are so many: they are written behind."""
    while len(rows := objects(system, "sessions", "list", address)) != count:
        pass
    return sorted(rows, key=lambda row: str(row["door"]))


def test_a_table_fits_its_terminal(system: System, domain: str) -> None:
    """Long texts are shortened there, and whole in a pipe."""
    address = f"{'long-' * 9}name@{domain}"
    add(system, address)
    for columns in (60, 80, 120):
        code, shown = in_terminal(system, [], "account", "list", f"name@{domain}", columns=columns)
        assert code == 0
        assert max(map(len, shown.splitlines())) <= columns
        assert ("…" in shown) == (columns < 110)
    assert address in told(system, "account", "list", domain)[1]
