"""Where mail is imported from: folders and letters, whatever kind of store they lie in.

The rule: a source only reads, and what it cannot read it names and goes on; one reader per kind.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Protocol

from services.mail import message
from services.mail.errors import InvalidArgument
from services.mail.store.flags import canonical_flag

_BARE_LF: Final = re.compile(rb"(?<!\r)\n")


class SourceFailed(Exception):
    """Nothing more can be read of a source, or of one of its folders. The text is for people."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message where it lies. name: how people find it there. identity: what tells it from all others of its folder.

    octets: None where they are read later, by `Source.read`. size: octets, or a guess of them.
    steps: what it adds to the folder's progress.
    """

    name: str
    identity: str
    octets: bytes | None
    size: int
    flags: tuple[str, ...] = ()
    internal_at: int | None = None
    uid: int = 0
    unique_id: str = ""
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that cannot be read, by its name, and why."""

    name: str
    reason: str
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Folder:
    """A mailbox of a source. name: with "/" between its levels. steps: how far its progress goes.

    uid_validity, uid_next: 0 where the source has none. path: where it lies, if in one file or folder: several may be
    one mailbox here.
    """

    name: str
    steps: int
    uid_validity: int = 0
    uid_next: int = 0
    path: Path = Path()


class Source(Protocol):
    """Somebody's mail. identity: what tells it from all other sources, the same each time."""

    identity: str

    def folders(self) -> Iterator[Folder | Broken]:
        """Every mailbox. Raises SourceFailed."""
        ...

    def letters(self, folder: Folder) -> Iterator[Letter | Broken]:
        """Its messages: those with a uid first, rising. Raises SourceFailed."""
        ...

    def read(self, folder: Folder, letters: Sequence[Letter], /) -> Iterator[Letter | Broken]:
        """The same letters with their octets. Raises SourceFailed."""
        ...

    def close(self) -> None:
        """Lets go of it."""
        ...


class Files:
    """What sources have in common whose letters come with their octets."""

    def read(self, _folder: Folder, letters: Sequence[Letter], /) -> Iterator[Letter | Broken]:
        """They have been read already."""
        return iter(letters)

    def close(self) -> None:
        """Nothing is held."""


Intake = Callable[[bytes], bytes]


def as_on_the_wire(octets: bytes) -> bytes:
    """A message as it travels: one whose first line ends with LF alone was kept with the line ends of Unix.

    One whose first line ends with CRLF is taken as it is.
    """
    end = octets.find(b"\n")
    if end < 0 or octets[max(end - 1, 0) : end] == b"\r":
        return octets
    return _BARE_LF.sub(b"\r\n", octets)


def as_it_is(octets: bytes) -> bytes:
    """Every octet as it was read."""
    return octets


def known_flags(names: Iterable[str]) -> tuple[str, ...]:
    """The flags that we can keep; \\Recent and what is no flag are left out."""
    kept: dict[str, None] = {}
    for name in names:
        with suppress(InvalidArgument):
            kept[canonical_flag(name)] = None
    return tuple(kept)


def digest(*parts: bytes) -> str:
    """What tells octets from others."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


def date_of(octets: bytes) -> int | None:
    """Seconds since 1970 of the Date field; None where there is none that can be read. RFC 5322 §3.6.1."""
    with suppress(ValueError, TypeError, OverflowError):
        field = message.date(octets[: message.header_size(octets)])
        if field:
            return in_range(int(parsedate_to_datetime(field.decode("ascii", "replace").strip()).timestamp()))
    return None


def in_range(seconds: int) -> int | None:
    """A date that the store keeps, or None."""
    return seconds if 0 <= seconds < 2**40 else None


def with_octets(letter: Letter, octets: bytes) -> Letter:
    """A letter that was read."""
    return replace(letter, octets=octets, size=len(octets))
