"""Processes as their supervisor sees them: descriptors, signals, exit codes."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DOOR = Path(__file__).with_name("door.py")
ROOT = Path(__file__).resolve().parents[3]


def environment(settings: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RESTANTE_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **settings}


def run_to_end(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(DOOR), *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def started(**settings: str) -> "Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]":
    """The process, and the line that it writes once it is ready."""
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [sys.executable, str(DOOR)],
        env=environment({**settings, "RESTANTE_READY_FD": str(write_end)}),
        pass_fds=[write_end],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(write_end)
        try:
            with os.fdopen(read_end) as told:
                yield process, json.loads(told.read())
        finally:
            process.kill()


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_says_that_it_is_ready_and_stops_on_a_signal(number: signal.Signals) -> None:
    """Ports by descriptor, probes on the admin port, exit code 0, log lines that are JSON."""
    with started() as (process, told):
        assert (told["ready"], sorted(told["ports"])) == ("pop3", ["port"])
        assert get(told["admin_port"], "/live") == b"live\n"
        assert get(told["admin_port"], "/ready") == b"ready\n"
        assert b"restante_connections_open" in get(told["admin_port"], "/metrics")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(told["admin_port"], "/else")
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        events = [json.loads(line) for line in errors.splitlines()]
        assert [each["event"] for each in events] == ["ready", "stopping", "stopped"]
        assert {each["process"] for each in events} == {"pop3"}


def test_signals_that_come_together_are_one() -> None:
    """The kernel tells of a parent's death once for each of its threads; that is nobody's second Ctrl-C."""
    with started() as (process, _):
        for _ in range(20):
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0
        assert [json.loads(line)["event"] for line in errors.splitlines()] == ["ready", "stopping", "stopped"]


def test_a_task_that_cannot_be_cancelled_holds_nothing_up() -> None:
    """psycopg_pool's workers take a cancellation for a failed attempt, and try again."""
    with started(RESTANTE_POP3_WORKS_ON="true") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert json.loads(errors.splitlines()[-1])["event"] == "stopped"


def test_a_port_in_use_is_one_line_that_names_the_setting() -> None:
    """Exit code 1."""
    with started() as (_, told):
        port = str(told["ports"]["port"])
        done = run_to_end(RESTANTE_POP3_PORT=port)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"pop3: port {port} on 127.0.0.1 is in use: stop what uses it or set RESTANTE_POP3_PORT\n"
    )


def test_a_bug_leaves_its_traceback_in_the_log() -> None:
    """Exit code 1, one JSON line."""
    done = run_to_end(RESTANTE_POP3_FAILS="1")
    assert done.returncode == 1
    assert "LookupError: a bug of ours" in json.loads(done.stderr.splitlines()[-1])["exception"]


def test_wrong_settings_and_arguments_exit_with_2() -> None:
    """One clear line each."""
    misspelt = run_to_end(RESTANTE_POP3_PROT="1")
    assert (misspelt.returncode, misspelt.stderr.count("\n")) == (2, 1)
    assert run_to_end("--nonsense").returncode == 2


def test_settings_and_help_are_printed() -> None:
    """Both without starting anything."""
    assert "RESTANTE_POP3_PORT=0\n" in run_to_end("--settings").stdout
    assert "usage: " in run_to_end("--help").stdout
    assert "usage: " in run_to_end("--help", RESTANTE_POP3_PROT="1").stdout


def test_help_names_the_program_and_its_tasks() -> None:
    """As one starts it: not every process is named as its module."""
    for module, task in (("services.storage", "verify"), ("services.storage.embedded", "--settings")):
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert f"usage: python -m {module} [" in done.stdout
        assert f"\n  {task} " in done.stdout
