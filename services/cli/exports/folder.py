"""The folder that is exported into, and its file MISSING.

The rule: only a folder that this program began is written to, or one that is new or empty.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.plumbing.failures import CannotStart

MISSING: Final = "MISSING"


@dataclass(frozen=True, slots=True)
class Target:
    """A folder of one kind of export, of one account."""

    path: Path
    kind: str
    address: str

    @property
    def _title(self) -> str:
        return f"restante export {self.kind} {self.address}"

    def begin(self) -> None:
        """Makes the folder, or goes on with one that is not whole yet. Raises CannotStart."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            there = {each.name for each in self.path.iterdir()}
        except OSError as error:
            raise CannotStart(f"{self.path}: {error.strerror}") from None
        if MISSING in there:
            if (self.path / MISSING).read_text("utf-8", "replace").partition("\n")[0] != self._title:
                raise CannotStart(f"{self.path} has another export in it: name another folder")
        elif there:
            raise CannotStart(f"{self.path} is not empty: name a new folder")
        self.say(["everything that this export has not come to yet: run it again"])

    def say(self, missing: Sequence[str]) -> None:
        """Says what is missing."""
        replace_text(self.path / MISSING, "".join(f"{line}\n" for line in [self._title, *missing]))

    def end(self) -> None:
        """It is whole: all of it is on the disk before it says so."""
        os.sync()
        (self.path / MISSING).unlink()


def replace_text(path: Path, text: str) -> None:
    """A file with this text, at once or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text, "utf-8", "surrogateescape", newline="")
    unfinished.replace(path)
