"""The data folder: made once, in one piece.

The rule: a folder with this name is complete. It is made beside its place and moved there at the end, so that a start
that was interrupted leaves nothing that looks like data.
"""

import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from services.plumbing.failures import CannotStart
from services.plumbing.files import write_secret
from services.storage.embedded.binaries import Binaries
from services.storage.embedded.identity import Identity

ROLE = "restante"
DATABASE = "restante"
# Without LC_ALL and the like, which may name a locale that this machine does not have.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the data and its password lie under `home`."""

    home: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "postgres"

    @property
    def password_file(self) -> Path:
        """The role's password, readable by us alone."""
        return self.home / "keys" / "postgres"

    @property
    def url_file(self) -> Path:
        """The address of the server that runs now, or ran last; with the password, readable by us alone."""
        return self.home / "keys" / "database-url"

    def url(self, port: int, database: str = DATABASE) -> str:
        """The address of one of its databases."""
        password = quote(self.password_file.read_text(encoding="ascii").strip(), safe="")
        return f"postgresql://{ROLE}:{password}@127.0.0.1:{port}/{database}"

    def prepare(self, binaries: Binaries, identity: Identity) -> None:
        """Makes the data folder unless it is there. Raises CannotStart."""
        if self.data.exists():
            self._check_version(binaries)
            return
        self.password_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(self.password_file, secrets.token_urlsafe(24) + "\n")
        new = self.home / "postgres.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        # initdb may run as somebody who cannot read our keys.
        password = new.with_suffix(".password")
        write_secret(password, self.password_file.read_text(encoding="ascii"))
        identity.hand_over(new)
        identity.hand_over(password)
        try:
            self._initialise(binaries, identity, new, password)
        finally:
            password.unlink()
        new.rename(self.data)

    def _initialise(self, binaries: Binaries, identity: Identity, new: Path, password: Path) -> None:
        words: list[str | Path] = [binaries.initdb, "--pgdata", new, "--username", ROLE, "--pwfile", password]
        words += ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--no-instructions"]
        words += ["--locale=C", "--lc-collate=C", "--lc-ctype=C.UTF-8"]
        made = subprocess.run(
            identity.command(*words),
            cwd="/",
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if made.returncode != 0:
            reason = next((line for line in made.stderr.splitlines() if "error" in line), made.stderr.strip())
            raise CannotStart(
                f"no data folder could be made in {self.home}: {reason.removeprefix('initdb: ')}"
            )

    def _check_version(self, binaries: Binaries) -> None:
        version = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != str(binaries.version):
            raise CannotStart(
                f"{self.data} was made by PostgreSQL {version}, {binaries.folder} has {binaries.version}: "
                f"install PostgreSQL {version}, or move the data with pg_dump"
            )
