"""The whole system as a user runs it: `restante up` in a folder of its own, on free ports.

The rule: tests reach it as people do, by its ports, its command line and signals.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RESTANTE = str(Path(sys.executable).with_name("restante"))
PORTS = (
    "STORAGE_PORT",
    "SMTP_PORT",
    "SMTP_LMTP_PORT",
    "IMAP_PORT",
    "IMAP_TLS_PORT",
    "POP3_PORT",
    "POP3_TLS_PORT",
)
PATIENCE = 60.0


class System:
    """A system that runs. home: its folder; lines: what it printed up to its card's end."""

    def __init__(self, home: Path, process: "subprocess.Popen[str]", environment: dict[str, str]) -> None:
        self.home = home
        self.process = process
        self.environment = environment
        self.lines: list[str] = []
        self.certificate = home / "tls" / "certificate.pem"

    def await_card(self) -> None:
        """Reads what is printed up to the end of the card."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "account add" in line:
                return
        raise AssertionError("\n".join([*self.lines, *self.last_logs()]))

    def last_logs(self) -> list[str]:
        """The end of every log, for whoever has to find out why it did not start."""
        return [
            f"{log.name}: {line}"
            for log in self.home.glob("logs/*")
            for line in log.read_text().splitlines()[-5:]
        ]

    @property
    def record(self) -> dict[str, Any]:
        """running.json as it is now."""
        running: dict[str, Any] = json.loads((self.home / "running.json").read_text())
        return running

    def port(self, service: str, name: str = "port") -> int:
        """A port of a service."""
        return int(self.record["services"][service]["ports"][name])

    @property
    def smtp_port(self) -> int:
        """SMTP, STARTTLS offered."""
        return self.port("smtp")

    @property
    def lmtp_port(self) -> int:
        """LMTP."""
        return self.port("smtp", "lmtp_port")

    @property
    def imap_port(self) -> int:
        """IMAP, STARTTLS offered."""
        return self.port("imap")

    @property
    def imaps_port(self) -> int:
        """IMAP over TLS."""
        return self.port("imap", "tls_port")

    @property
    def pop3_port(self) -> int:
        """POP3, STLS offered."""
        return self.port("pop3")

    @property
    def pop3s_port(self) -> int:
        """POP3 over TLS."""
        return self.port("pop3", "tls_port")

    @property
    def grpc_target(self) -> str:
        """Where storage is: host:port, several with commas."""
        return str(self.record["storage"])

    @property
    def token(self) -> str:
        """What a caller of storage shows."""
        return (self.home / "keys" / "token").read_text().strip()

    @property
    def database_url(self) -> str:
        """The embedded PostgreSQL."""
        return (self.home / "keys" / "database-url").read_text().strip()

    @property
    def account(self) -> str:
        """The first account's address."""
        return (self.home / "first-account").read_text().splitlines()[0]

    @property
    def password(self) -> str:
        """The first account's password."""
        return (self.home / "first-account").read_text().splitlines()[1]

    def run(self, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Runs the command line against this system, from a folder that is not the checkout."""
        return subprocess.run(
            [RESTANTE, *words],
            input=stdin,
            env=self.environment,
            capture_output=True,
            check=False,
            cwd=self.home,
        )

    def add_account(self, address: str, password: str) -> None:
        """Makes an account, and its domain."""
        for words, stdin in (
            (("domain", "add", address.rpartition("@")[2]), b""),
            (("account", "add", address, "--password-stdin"), password.encode()),
        ):
            done = self.run(*words, stdin=stdin)
            assert done.returncode == 0, done.stderr.decode()

    def pid(self, service: str) -> int:
        """The process of a service: smtp, imap, pop3, storage, storage-2, postgres."""
        return int(self.record["services"][service]["pid"])

    def postmaster_pid(self) -> int:
        """PostgreSQL itself; `pid("postgres")` is the process that watches it."""
        return int((self.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])

    def restart(self, service: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends a service a signal and waits until the supervisor has started it again."""
        before = self.pid(service)
        os.kill(before, number)
        await_that(lambda: self.pid(service) != before, f"{service} is not started again")


def await_that(holds: Any, complaint: str) -> None:
    """Waits until something outside becomes true."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


@contextmanager
def running(home: Path, **settings: str) -> Iterator[System]:
    """Starts a system in `home`; settings by name, as in UP_STORAGES="2"."""
    free = {f"RESTANTE_{name}": "0" for name in PORTS}
    own = {f"RESTANTE_{name}": value for name, value in settings.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RESTANTE_")}
    environment = {**kept, **free, **own, "RESTANTE_HOME": str(home)}
    process = subprocess.Popen(
        [RESTANTE, "up"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    system = System(home, process, environment)
    try:
        system.await_card()
        yield system
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
