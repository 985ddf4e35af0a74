"""Maildir and Maildir++: a file for each message, a folder whose name begins with a dot for each further mailbox.

https://cr.yp.to/proto/maildir.html, https://www.courier-mta.org/imap/README.maildirquota.html. The rule: nothing in it
is changed, also not moved from new to cur.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.cli.sources import (
    Broken,
    Files,
    Folder,
    Intake,
    Letter,
    SourceFailed,
    digest,
    in_range,
    known_flags,
)
from services.cli.sources.uidlist import (
    KEYWORDS,
    UIDLIST,
    Listed,
    base_name,
    formatted,
    read_keywords,
    read_uidlist,
    unescaped,
)
from services.mail.errors import InvalidName
from services.mail.imap.names import decode
from services.mail.store.mailboxes import INBOX, SEPARATOR
from services.mail.store.uids import LAST_UID

FLAGS: Final = {
    "D": "\\Draft",
    "F": "\\Flagged",
    "P": "$Forwarded",
    "R": "\\Answered",
    "S": "\\Seen",
    "T": "\\Deleted",
}
_PARTS: Final = ("cur", "new")


class Maildir(Files):
    """A Maildir with its folders. uidl_format: how its server's POP3 made unique ids; "" for none of them."""

    def __init__(self, path: Path, intake: Intake, uidl_format: str) -> None:
        self.identity = f"maildir {path.resolve()}"
        self._path = path
        self._intake = intake
        self._uidl_format = uidl_format

    def folders(self) -> Iterator[Folder | Broken]:
        """INBOX, and what lies in it."""
        if not (self._path / "cur").is_dir():
            raise SourceFailed(f"{self._path} is no Maildir: it has no folder cur")
        yield _folder(INBOX, self._path)
        for path in sorted(self._path.iterdir()):
            if path.name.startswith(".") and (path / "cur").is_dir():
                try:
                    levels = [unescaped(decode(os.fsencode(level))) for level in path.name[1:].split(".")]
                except InvalidName:
                    yield Broken(str(path), "its name is not modified UTF-7")
                    continue
                yield _folder(SEPARATOR.join(levels), path)

    def letters(self, folder: Folder) -> Iterator[Letter | Broken]:
        """Its messages, those with a uid first, then by name, which is mostly the order in which they came."""
        path = folder.path
        listed, keywords = read_uidlist(path / UIDLIST), read_keywords(path / KEYWORDS)
        nobody = Listed(0)
        files = [(listed.messages.get(base_name(file.name), nobody), file) for file in _files(path)]
        files.sort(key=lambda pair: (pair[0].uid or LAST_UID + 1, pair[1].name))
        last_uid = 0
        for known, file in files:
            letter = self._letter(file, known, self._unique_id(folder, known), keywords)
            if isinstance(letter, Letter) and letter.uid and letter.uid <= last_uid:
                letter = Broken(str(file), f"another message of the folder has its uid {letter.uid}")
            last_uid = max(last_uid, known.uid)
            yield letter

    def _unique_id(self, folder: Folder, known: Listed) -> str:
        """What POP3 told of a message; POP3 has INBOX alone."""
        if folder.name != INBOX or not known.uid:
            return ""
        made = formatted(self._uidl_format, known.uid, folder.uid_validity) if self._uidl_format else ""
        return known.unique_id or made

    def _letter(self, file: Path, known: Listed, unique_id: str, keywords: dict[str, str]) -> Letter | Broken:
        base, _, letters = file.name.partition(":2,")
        try:
            octets = self._intake(file.read_bytes())
            at = int(file.stat().st_mtime)
        except FileNotFoundError:
            # Whoever reads the mailbox meanwhile moves files from new to cur, and puts flags into their names.
            moved = next((each for each in _files(file.parent.parent) if base_name(each.name) == base), None)
            if moved is None or moved == file:
                return Broken(str(file), "it is gone")
            return self._letter(moved, known, unique_id, keywords)
        except OSError as error:
            return Broken(str(file), error.strerror or "it cannot be read")
        return Letter(
            name=str(file),
            identity=f"{base} {digest(octets)}",
            octets=octets,
            size=len(octets),
            flags=known_flags(FLAGS.get(each) or keywords.get(each, "") for each in letters),
            internal_at=in_range(at),
            uid=known.uid,
            unique_id=unique_id,
        )


def _folder(name: str, path: Path) -> Folder:
    listed = read_uidlist(path / UIDLIST)
    uid_validity = listed.uid_validity if listed.uid_next else 0
    return Folder(name, sum(1 for _ in _files(path)), uid_validity, listed.uid_next, path)


def _files(path: Path) -> Iterator[Path]:
    for part in _PARTS:
        if (path / part).is_dir():
            yield from (file for file in (path / part).iterdir() if not file.name.startswith("."))
