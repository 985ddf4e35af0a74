"""Prints every difference as a line of docs/differences.md: `python -m tests.differential [part of a name]`."""

import sys
import tempfile
from pathlib import Path

from tests.differential.listed import differences
from tests.differential.peer import dovecot
from tests.differential.scripts import read_all
from tests.differential.sides import PASSWORD, Side, make_accounts, play
from tests.e2e.system import running


def main(part: str) -> None:
    """Plays the dialogues whose name has this part."""
    scripts = [script for script in read_all() if part in script.name]
    with (
        tempfile.TemporaryDirectory(prefix="differential-") as folder,
        dovecot(PASSWORD) as port,
        running(Path(folder) / "restante") as system,
    ):
        make_accounts(system, {script.login for script in scripts})
        sides = Side("Dovecot", port), Side("Restante", system.imap_port)
        for script in scripts:
            try:
                theirs, ours = (play(side, script) for side in sides)
            except Exception as error:  # noqa: BLE001 - a tool for people: the next one may do
                print(f"{script.name} · {str(error)[-300:]!r}")  # noqa: T201
                continue
            for number, (one, other) in enumerate(zip(theirs, ours, strict=True), 1):
                for what in differences(one, other):
                    print(f"{script.name} · {number} {what}")  # noqa: T201


main(sys.argv[1] if len(sys.argv) > 1 else "")
