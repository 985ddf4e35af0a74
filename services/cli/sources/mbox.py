"""mbox: messages one after the other in a file, each behind a line that begins with "From ". RFC 4155.

The rule: a message's octets are those between its From_ line and the empty line before the next one, less the quoting
of lines that began with "From " (https://www.loc.gov/preservation/digital/formats/fdd/fdd000383.shtml).
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

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
    known_flags,
)
from services.cli.sources.uidlist import unescaped
from services.mail import message
from services.mail.store.mailboxes import INBOX, SEPARATOR

# A time and a year: a line of text that begins with "From " has neither, mostly.
_FROM: Final = re.compile(rb"From .*\d\d:\d\d.*\d{4}")
_ASCTIME: Final = re.compile(rb"(\w{3}) +(\d{1,2}) +(\d\d):(\d\d)(?::(\d\d))?.* (\d{4})\s*$")
_MONTHS: Final = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_STATUS: Final = {"R": "\\Seen", "A": "\\Answered", "F": "\\Flagged", "D": "\\Deleted", "T": "\\Draft"}
SUFFIX: Final = ".mbox"
_INBOXES: Final = frozenset({"inbox", "mbox"})
# No message is that large; what looks so has no From_ line where one should be.
_MOST_OCTETS: Final = 512 * 1024 * 1024


class Quoting(StrEnum):
    """How lines that begin with "From " are told from From_ lines."""

    RD = "rd"  # each such line, and each that is quoted already, has one more ">"
    O = "o"  # noqa: E741 - its name; only "From " itself has a ">"
    CL = "cl"  # as in rd, and the field Content-Length tells where a message ends
    CL2 = "cl2"  # nothing is quoted, Content-Length tells where a message ends


_QUOTED: Final = {
    Quoting.RD: re.compile(rb"^>(>*From )", re.MULTILINE),
    Quoting.CL: re.compile(rb"^>(>*From )", re.MULTILINE),
    Quoting.O: re.compile(rb"^>(From )", re.MULTILINE),
}


class Mbox(Files):
    """A file, or a folder of such files. into: the mailbox of a single file."""

    def __init__(self, path: Path, intake: Intake, quoting: Quoting, into: str) -> None:
        self.identity = f"mbox {path.resolve()}"
        self._path = path
        self._intake = intake
        self._quoting = quoting
        self._into = into

    def folders(self) -> Iterator[Folder | Broken]:
        """One for each file."""
        if not self._path.exists():
            raise SourceFailed(f"{self._path} is not there")
        if self._path.is_file():
            yield _folder(self._into, self._path)
            return
        for file in sorted(self._path.rglob("*")):
            if not file.is_file() or any(part.startswith(".") for part in file.relative_to(self._path).parts):
                continue
            if not _is_mbox(file):
                yield Broken(str(file), "it is no mbox: it does not begin with a From line")
                continue
            levels = [unescaped(part.removesuffix(SUFFIX)) for part in file.relative_to(self._path).parts]
            name = SEPARATOR.join(levels)
            yield _folder(INBOX if name.lower() in _INBOXES else name, file)

    def letters(self, folder: Folder) -> Iterator[Letter | Broken]:
        """Its messages in their order. The same one twice is two: the second is the second each time it is read."""
        path = folder.path
        seen: Counter[str] = Counter()
        try:
            with path.open("rb") as file:
                for number, (line, octets, steps) in enumerate(messages(file, self._quoting), 1):
                    name = f"{path} message {number}"
                    if not line:
                        yield Broken(name, "there is no From line before it", steps)
                        continue
                    taken = self._intake(octets)
                    identity = digest(line.rstrip(b"\r\n"), taken)
                    seen[identity] += 1
                    yield Letter(
                        name=name,
                        identity=f"{identity} {seen[identity]}",
                        octets=taken,
                        size=len(taken),
                        flags=status_flags(taken),
                        internal_at=from_line_date(line) or date_of(taken),
                        steps=steps,
                    )
        except OSError as error:
            raise SourceFailed(f"{path}: {error.strerror}") from None


def _folder(name: str, file: Path) -> Folder:
    return Folder(name, file.stat().st_size, path=file)


def messages(file: BinaryIO, quoting: Quoting) -> Iterator[tuple[bytes, bytes, int]]:
    """From_ line, octets, and octets of the file, of each message; what stands before the first has no line."""
    line = b""
    lines: list[bytes] = []
    size, is_after_empty = 0, True
    pattern = _QUOTED.get(quoting)
    for following in file:
        if is_after_empty and following.startswith(b"From ") and _FROM.match(following):
            if line or any(each.strip() for each in lines):
                yield line, _unquoted(lines, pattern), len(line) + size
            line, lines, size, is_after_empty = following, [], 0, False
            if quoting in (Quoting.CL, Quoting.CL2):
                # What follows is an empty line and a From_ line, or the body, where the length led nowhere.
                lines, size = _by_length(file)
                is_after_empty = True
            continue
        is_after_empty = following in (b"\n", b"\r\n")
        size += len(following)
        if size > _MOST_OCTETS:
            raise SourceFailed(f"no From line within {_MOST_OCTETS} octets")
        lines.append(following)
    if line or any(each.strip() for each in lines):
        yield line, _unquoted(lines, pattern), len(line) + size


def _by_length(file: BinaryIO) -> tuple[list[bytes], int]:
    """The lines that Content-Length announces; only the header where it is missing or leads nowhere."""
    lines: list[bytes] = []
    for line in iter(file.readline, b""):
        lines.append(line)
        if line in (b"\n", b"\r\n"):
            break
    header = b"".join(lines)
    size = len(header)
    announced = message.values(header, b"content-length")
    with suppress(ValueError, IndexError):
        start, length = file.tell(), int(announced[0])
        body = file.read(length) if 0 <= length <= _MOST_OCTETS else b""
        after = file.tell()
        rest = file.readline() + file.readline()
        if len(body) == length and (not rest.strip() or rest.lstrip(b"\r\n").startswith(b"From ")):
            file.seek(after)
            return [header, body], size + length
        file.seek(start)
    return lines, size


def _unquoted(lines: list[bytes], pattern: "re.Pattern[bytes] | None") -> bytes:
    """The octets of a message; the empty line behind it is the mbox's."""
    if lines and lines[-1] in (b"\n", b"\r\n"):
        lines = lines[:-1]
    octets = b"".join(lines)
    return pattern.sub(rb"\1", octets) if pattern is not None and b">From " in octets else octets


def from_line_date(line: bytes) -> int | None:
    """When a message came: in UTC, as RFC 4155 has it."""
    match = _ASCTIME.search(line)
    if match is None or match[1] not in _MONTHS:
        return None
    month = _MONTHS.index(match[1]) + 1
    with suppress(ValueError):
        day, hour, minute, second = (int(match[place] or 0) for place in (2, 3, 4, 5))
        return in_range(
            int(datetime(int(match[6]), month, day, hour, minute, second, tzinfo=UTC).timestamp())
        )
    return None


def status_flags(octets: bytes) -> tuple[str, ...]:
    """Flags as mail programs keep them in an mbox: Status, X-Status and X-Keywords."""
    header = octets[: message.header_size(octets)]
    text = {
        name: b" ".join(message.values(header, name)).decode("ascii", "replace")
        for name in (b"status", b"x-status", b"x-keywords")
    }
    letters = text[b"status"] + text[b"x-status"]
    return known_flags([*(_STATUS.get(letter, "") for letter in letters), *text[b"x-keywords"].split()])


def _is_mbox(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(5)
    return start in (b"From ", b"")
