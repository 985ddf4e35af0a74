"""As whom PostgreSQL runs: itself refuses root, and another user may not reach the data.

As root it runs in a user namespace in which root is called 1000, so that files stay root's and every folder is still
reached; in somebody else's folder it runs as they would. The rule: no owner, mode or user outside the data folder ever
changes.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from services.plumbing.failures import CannotStart

NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


@dataclass(frozen=True, slots=True)
class Identity:
    """What to put before a command, and who owns the data (None: whoever we are)."""

    prefix: tuple[str, ...]
    owner: tuple[int, int] | None = None

    def command(self, *words: str | Path) -> list[str]:
        """A command that runs under this identity."""
        return [*self.prefix, *map(str, words)]

    def server_command(self, *words: str | Path) -> list[str]:
        """The same for the server: the kernel sends it SIGINT, a fast shutdown, when we die in any way.

        The wish is made last, since changing the user forgets it.
        """
        dying_with_us = ("setpriv", "--pdeathsig", "INT", "--") if shutil.which("setpriv") else ()
        return self.command(*dying_with_us, *words)

    def hand_over(self, path: Path) -> None:
        """Makes a file or folder of ours readable by the server."""
        if self.owner is not None:
            os.chown(path, *self.owner)


def choose_identity(home: Path, binaries: Path) -> Identity:
    """How to run PostgreSQL on data under `home`. Raises CannotStart where there is no way."""
    if os.geteuid() != 0:
        return Identity(())
    owner = home.stat()
    if owner.st_uid != 0:
        # Somebody's own folder, where root starts for once: what it makes there should stay theirs.
        return as_user(owner.st_uid, owner.st_gid)
    if runs([*NAMESPACE, "test", "-r", str(home)]):
        return Identity(NAMESPACE)
    nobody = pwd.getpwnam("nobody")
    dropped = as_user(nobody.pw_uid, nobody.pw_gid)
    if runs(dropped.command("test", "-x", home)) and runs(
        dropped.command("test", "-x", binaries / "postgres")
    ):
        return dropped
    raise CannotStart(
        f"PostgreSQL does not run as root, and neither root without its powers nor nobody can reach {home}: start as "
        "an ordinary user, or set RESTANTE_HOME (and the checkout) to a folder that every user may enter"
    )


def as_user(user: int, group: int) -> Identity:
    """Root becomes somebody else, who then owns the data."""
    drop = ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--")
    return Identity(drop, (user, group))


def runs(command: list[str]) -> bool:
    """Whether a command can be started and succeeds."""
    try:
        return (
            subprocess.run(
                command, capture_output=True, timeout=10, stdin=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False
