"""The folder that everything lies in: made at the first start, and held by one supervisor at a time.

The rule: what is there is never replaced; certificate, token and password are made once, for whoever runs this.
"""

import base64
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from services.plumbing.failures import CannotStart
from services.plumbing.files import write_secret
from services.plumbing.net.tls import TlsContext
from services.plumbing.settings import SharedSettings


@dataclass(frozen=True, slots=True)
class FirstAccount:
    """The account that the first start makes."""

    address: str
    password: str


@dataclass(frozen=True, slots=True)
class Home:
    """RESTANTE_HOME and what the supervisor keeps there."""

    folder: Path

    @property
    def logs(self) -> Path:
        """A log of each process."""
        return self.folder / "logs"

    @property
    def record(self) -> Path:
        """What runs now: processes, ports and where storage is."""
        return self.folder / "running.json"

    def prepare(self, settings: SharedSettings) -> None:
        """Makes folders, certificate and token where they are missing. Raises CannotStart."""
        with written(self.folder, "RESTANTE_HOME"):
            for folder in (self.folder, self.logs, self.folder / "keys"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with written(settings.tls_certificate, "RESTANTE_TLS_CERTIFICATE"):
            if not settings.tls_certificate.exists() and not settings.tls_key.exists():
                from services.cli.up.certificate import make_certificate

                make_certificate(settings.tls_certificate, settings.tls_key, settings.hostname)
        with written(settings.token_file, "RESTANTE_TOKEN_FILE"):
            if not settings.token_file.exists():
                settings.token_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_secret(settings.token_file, secrets.token_urlsafe(32) + "\n")
        with written(settings.apop_key_file, "RESTANTE_APOP_KEY_FILE"):
            if settings.apop and not settings.apop_key_file.exists():
                settings.apop_key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_secret(
                    settings.apop_key_file, base64.b64encode(secrets.token_bytes(32)).decode() + "\n"
                )
        # Raises CannotStart, sooner than the doors would.
        TlsContext(settings.tls_certificate, settings.tls_key)

    def hold(self) -> TextIO:
        """Takes the folder for this supervisor until the file returned is closed. Raises CannotStart."""
        try:
            lock = (self.folder / "lock").open("a+", encoding="ascii")
        except OSError as error:
            raise CannotStart(f"{self.folder / 'lock'} cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise CannotStart(
                f"already running in {self.folder}: stop it first (Ctrl-C there, or kill {holder}), "
                "or set RESTANTE_HOME and the ports to run a second one"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        return lock

    def first_account(self, address: str) -> FirstAccount:
        """The first account with its password, which is made up if it is not there yet."""
        file = self.folder / "first-account"
        if not file.exists():
            write_secret(file, f"{address}\n{secrets.token_urlsafe(12)}\n")
        kept, password = file.read_text(encoding="utf-8").splitlines()[:2]
        return FirstAccount(kept, password)

    def embedded_url(self) -> str:
        """The URL of the embedded PostgreSQL that runs. Raises CannotStart if none does."""
        if "postgres" not in self.read_record().get("services", {}):
            raise CannotStart(
                "no database: start the embedded one with make run, or set RESTANTE_DATABASE_URL"
            )
        return (self.folder / "keys" / "database-url").read_text(encoding="ascii").strip()

    def write_record(self, running: dict[str, Any]) -> None:
        """Says what runs now, for the other commands."""
        write_secret(self.record, json.dumps(running, indent=1) + "\n")

    def read_record(self) -> dict[str, Any]:
        """What runs now; empty if nothing does, or ended without tidying up."""
        try:
            running = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return running if isinstance(running, dict) else {}

    def outlive_leftovers(self, seconds: float) -> None:
        """Waits for processes of a supervisor that was killed; the kernel has told them to end."""
        leftovers = [each["pid"] for each in self.read_record().get("services", {}).values()]
        deadline = time.monotonic() + seconds
        while any(is_ours(pid) for pid in leftovers) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.record.unlink(missing_ok=True)


@contextmanager
def written(path: Path, setting: str) -> Iterator[None]:
    """Names the setting that puts something elsewhere, where it cannot be written. Raises CannotStart."""
    try:
        yield
    except OSError as error:
        # What lies in the home moves with it.
        setting = setting if setting in os.environ else "RESTANTE_HOME"
        raise CannotStart(
            f"{error.filename or path} cannot be written ({error.strerror}): set {setting} to where you may write"
        ) from None


def is_ours(pid: int) -> bool:
    """Whether a process runs and is one of those that a supervisor starts."""
    try:
        return b"\0services." in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
