"""Starting and stopping: what `make run` promises."""

import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.system import PORTS, RESTANTE, System, await_that, running
from tests.tools import need


def start(home: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to fail."""
    environment = settings_of(home) | {f"RESTANTE_{name}": value for name, value in settings.items()}
    return subprocess.run(
        [RESTANTE, "up"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def settings_of(home: Path) -> dict[str, str]:
    """An environment with a folder of its own and free ports."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RESTANTE_")}
    return {**kept, **{f"RESTANTE_{name}": "0" for name in PORTS}, "RESTANTE_HOME": str(home)}


def pids_of(home: Path) -> list[int]:
    """The supervisor and all that it started, once all of it runs."""

    def record() -> dict[str, Any]:
        file = home / "running.json"
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    await_that(lambda: "smtp" in record().get("services", {}), "it does not start")
    running = record()
    postmaster = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return [running["pid"], postmaster, *(each["pid"] for each in running["services"].values())]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, though nobody may have asked for its exit code."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_every_service_says_that_it_is_ready(system: System) -> None:
    """A line per service, then the card."""
    for service in ("postgres", "storage", "smtp", "imap", "pop3"):
        assert any(line.startswith(f"  {service} ready") for line in system.lines), system.lines
    assert any("Restante is ready" in line for line in system.lines)


def test_the_commands_on_the_card_work_as_printed(system: System) -> None:
    """They are pasted into a shell, one after the other."""
    need("curl", "curl")
    send = next(line for line in system.lines if line.startswith("printf"))
    read = next(line for line in system.lines if line.startswith("curl"))
    shown = ""
    for command in (send, read):
        done = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, (command, done.stderr)
        shown = done.stdout
    assert "Subject: Hello" in shown
    assert "It works." in shown


def test_what_is_secret_is_readable_by_its_owner_alone(system: System) -> None:
    """Folder, key, token, passwords."""
    assert stat.S_IMODE(system.home.stat().st_mode) == 0o700
    for name in (
        "tls/key.pem",
        "keys/token",
        "keys/postgres",
        "keys/database-url",
        "first-account",
        "running.json",
    ):
        assert stat.S_IMODE((system.home / name).stat().st_mode) == 0o600, name


def test_the_doors_do_not_know_the_database(system: System) -> None:
    """Storage alone has its credentials."""
    for service in ("smtp", "imap", "pop3"):
        assert b"RESTANTE_DATABASE_URL" not in Path(f"/proc/{system.pid(service)}/environ").read_bytes()
    assert b"RESTANTE_DATABASE_URL" in Path(f"/proc/{system.pid('storage')}/environ").read_bytes()


def test_a_second_start_in_the_same_folder_is_refused_in_one_line(system: System) -> None:
    """Two supervisors would fight for the data."""
    refused = start(system.home)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "already running" in refused.stderr


def test_a_port_in_use_is_named_with_its_setting(tmp_path: Path) -> None:
    """Noticed before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = start(tmp_path / "home", IMAP_TLS_PORT=port)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"port {port}" in refused.stderr
    assert "RESTANTE_IMAP_TLS_PORT" in refused.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file stands where the folder should be, which stops root as well."""
    (tmp_path / "home").write_text("")
    refused = start(tmp_path / "home")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "set RESTANTE_HOME" in refused.stderr


def test_settings_that_are_wrong_are_all_named_before_anything_is_started(tmp_path: Path) -> None:
    """Whoever sets RESTANTE_UP_STORAGE means RESTANTE_UP_STORAGES; and so with those of every process."""
    refused = start(tmp_path / "home", UP_STORAGE="2")
    assert refused.returncode == 2
    assert "RESTANTE_UP_STORAGES" in refused.stderr
    refused = start(
        tmp_path / "home", IMAP_PROT="1", POP3_IDLE_SECONDS="often", POSTGRES_OPTION="x=y", LOG_LEVEL="info"
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    for name in ("RESTANTE_IMAP_PORT", "RESTANTE_POP3_IDLE_SECONDS", "RESTANTE_POSTGRES_OPTIONS"):
        assert name in refused.stderr
    assert not (tmp_path / "home").exists()


def test_the_manual_has_the_settings_of_every_process() -> None:
    """Each once, with what it is for."""
    done = subprocess.run([RESTANTE, "settings"], capture_output=True, text=True, check=True)
    for name in (
        "HOME",
        "UP_STORAGES",
        "POSTGRES_OPTIONS",
        "STORAGE_REFLECTION",
        "SMTP_PORT",
        "POP3_TLS_PORT",
    ):
        assert len(re.findall(rf"^RESTANTE_{name}=", done.stdout, re.MULTILINE)) == 1, name
    refused = subprocess.run([RESTANTE, "settings", "imp"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_the_version_is_told() -> None:
    """What is installed."""
    done = subprocess.run([RESTANTE, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"restante \d+\.\d+\.\d+\n", done.stdout)


def test_accounts_take_any_password(system: System) -> None:
    """One line end at the end is not part of it; everything else is, also what is no text."""
    assert system.run("domain", "add", "passwords.test").returncode == 0
    assert system.run("domain", "add", "passwords.test").returncode == 0
    for number, password in enumerate(
        (b"x", b" $pace'\"\\ ", b"two\nlines\n\n", "pässwörd\n".encode(), b"\xff\xfe")
    ):
        made = system.run("account", "add", f"a{number}@passwords.test", "--password-stdin", stdin=password)
        assert made.returncode == 0, made.stderr
    again = system.run("account", "add", "a0@passwords.test", "--password-stdin", stdin=b"x")
    assert again.returncode == 1
    assert again.stderr.startswith(b"restante: ")
    assert again.stderr.count(b"\n") == 1
    elsewhere = system.run("account", "add", "a@elsewhere.test", "--password-stdin", stdin=b"x")
    assert elsewhere.returncode == 1
    assert b"restante domain add" in elsewhere.stderr


@pytest.mark.timeout(240)
def test_it_stops_cleanly_and_keeps_its_mail(tmp_path: Path) -> None:
    """Ctrl-C ends every process; what was there is there at the next start, with the same login."""
    home = tmp_path / "home"
    with running(home) as first:
        pids = [each["pid"] for each in first.record["services"].values()] + [first.postmaster_pid()]
        first.add_account("kept@restante.test", "kept")
        login = (first.account, first.password)
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(timeout=30) == 0
    assert all(is_gone(pid) for pid in pids)
    assert not (home / "running.json").exists()
    with running(home) as second:
        assert (second.account, second.password) == login
        assert b"kept@restante.test" in second.run("account", "list").stdout


@pytest.mark.timeout(240)
def test_what_dies_is_started_again_where_it_was(tmp_path: Path) -> None:
    """kill -9 of the supervisor ends everything; of anything else, the supervisor brings it back on its port."""
    with running(tmp_path / "home", UP_STORAGES="2") as system:
        assert len(system.grpc_target.split(",")) == 2
        port = system.smtp_port
        system.restart("smtp", signal.SIGKILL)
        system.restart("storage-2", signal.SIGKILL)
        assert system.smtp_port == port
        pids = [each["pid"] for each in system.record["services"].values()] + [system.postmaster_pid()]
        system.process.kill()
        await_that(lambda: all(is_gone(pid) for pid in pids), "something outlives the supervisor")


def test_a_wrong_token_is_named_with_its_setting(system: System, tmp_path: Path) -> None:
    """Something answers, and does not let us in: to start it once more would not help."""
    (tmp_path / "token").write_text("wrong")
    done = subprocess.run(
        [RESTANTE, "domain", "list"],
        env={**system.environment, "RESTANTE_TOKEN_FILE": str(tmp_path / "token")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "RESTANTE_TOKEN_FILE" in done.stderr


# As make is: in a session of its own with a terminal, it takes the hangup and goes on waiting.
TAKES_THE_HANGUP = """
import fcntl, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, lambda *_: None)
sys.exit(subprocess.call(sys.argv[1:]))
"""


@pytest.mark.timeout(240)
def test_a_window_that_is_closed_ends_what_was_started_in_it(tmp_path: Path) -> None:
    """Also where the window's own process tells nobody of it."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", TAKES_THE_HANGUP, RESTANTE, "up"],
        env=settings_of(tmp_path / "home"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as window:
        os.close(theirs)
        pids = pids_of(tmp_path / "home")
        os.close(ours)
        await_that(lambda: all(is_gone(pid) for pid in pids), "something outlives its window")
        assert window.wait(30) == 0


@pytest.mark.timeout(240)
def test_killing_make_ends_what_it_started(tmp_path: Path) -> None:
    """kill -9, which make cannot pass on."""
    with subprocess.Popen(
        [need("make", "make"), "run"],
        cwd=Path(__file__).parents[2],
        env=settings_of(tmp_path / "home"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as make:
        pids = pids_of(tmp_path / "home")
        make.kill()
        await_that(lambda: all(is_gone(pid) for pid in pids), "something outlives make")


def test_commands_say_that_nothing_runs(tmp_path: Path) -> None:
    """One line that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "RESTANTE_HOME": str(tmp_path), "RESTANTE_STORAGE": f"127.0.0.1:{port}"}
    done = subprocess.run(
        [RESTANTE, "domain", "list"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(rf"restante: nothing answers at 127\.0\.0\.1:{port}: .*make run\n", done.stderr)
