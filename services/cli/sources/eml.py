"""Folders of files, a message in each: what mail programs make when messages are dragged out of them.

The rule: every file whose name ends in .eml is a message, and the folders between are mailboxes.
"""

from collections.abc import Iterator
from pathlib import Path

from services.cli.sources import (
    Broken,
    Files,
    Folder,
    Intake,
    Letter,
    SourceFailed,
    date_of,
    digest,
    in_range,
)
from services.mail.store.mailboxes import SEPARATOR


class Eml(Files):
    """A folder with its folders. into: the mailbox of what lies in it directly."""

    def __init__(self, path: Path, intake: Intake, into: str) -> None:
        self.identity = f"eml {path.resolve()}"
        self._path = path
        self._intake = intake
        self._into = into
        self._files: dict[str, list[Path]] = {}

    def folders(self) -> Iterator[Folder | Broken]:
        """Each that has a message in it."""
        if not self._path.is_dir():
            raise SourceFailed(f"{self._path} is no folder")
        self._files.clear()
        for file in sorted(self._path.rglob("*")):
            if file.suffix.lower() == ".eml" and file.is_file():
                name = SEPARATOR.join(file.parent.relative_to(self._path).parts) or self._into
                self._files.setdefault(name, []).append(file)
        yield from (Folder(name, len(files)) for name, files in self._files.items())

    def letters(self, folder: Folder) -> Iterator[Letter | Broken]:
        """By name. A date is the Date field's, or where there is none, the file's."""
        for file in self._files[folder.name]:
            try:
                octets = self._intake(file.read_bytes())
                at = in_range(int(file.stat().st_mtime))
            except OSError as error:
                yield Broken(str(file), error.strerror or "it cannot be read")
                continue
            yield Letter(
                name=str(file),
                identity=f"{file.relative_to(self._path)} {digest(octets)}",
                octets=octets,
                size=len(octets),
                internal_at=date_of(octets) or at,
            )
