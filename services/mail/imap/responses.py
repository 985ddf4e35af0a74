"""What the server says, as values that turn into octets once. RFC 9051 §7.

The rule: text that came from anywhere but this program passes through `string` or `_line`, so that no name, flag or
error can end a line early. What is large (FETCH) is rendered in `fetch`, by the page, and travels as `Rendered`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from services.mail.imap import names, numbers
from services.mail.store.flags import flag_names
from services.mail.store.uids import Runs

# \\Recent is not stored (RFC 3501 §2.3.2); in this door it is the bit that `store.flags` leaves spare.
RECENT: Final = 1 << 5
LONGEST_QUOTED: Final = 1000
LONGEST_TEXT: Final = 900

_PLAIN: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]\[]++')
_QUOTABLE: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*+")


class Response(Protocol):
    """One answer, or several that belong together."""

    def render(self) -> bytes:
        """Its octets, with line ends."""
        ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """Octets that are ready."""

    octets: bytes

    def render(self) -> bytes:
        return self.octets


@dataclass(frozen=True, slots=True)
class Later:
    """Octets that are made only when they are to leave."""

    make: Callable[[], bytes]

    def render(self) -> bytes:
        return self.make()


@dataclass(frozen=True, slots=True)
class Status:
    """OK, NO, BAD, BYE with a text; untagged where `tag` is `*`. RFC 9051 §7.1."""

    word: str
    text: str
    code: str = ""
    tag: bytes = b"*"

    def render(self) -> bytes:
        code = f"[{self.code}] " if self.code else ""
        return b"%b %b\r\n" % (self.tag, _line(f"{self.word} {code}{self.text}"))


@dataclass(frozen=True, slots=True)
class Continuation:
    """`+`: the client may go on. RFC 9051 §7.6."""

    text: str = "OK"

    def render(self) -> bytes:
        return b"+ %b\r\n" % _line(self.text)


@dataclass(frozen=True, slots=True)
class Untagged:
    """A short untagged answer whose words this program chose."""

    text: str

    def render(self) -> bytes:
        return b"* %b\r\n" % _line(self.text)


@dataclass(frozen=True, slots=True)
class Listed:
    """LIST or LSUB. RFC 9051 §7.3.1.

    criteria: what a name below this one meets (CHILDINFO, RFC 9051 §6.3.9.6). old_name: OLDNAME, RFC 9051 §6.3.9.7.
    is_utf8: whether the client takes names as UTF-8.
    """

    name: str
    attributes: tuple[str, ...] = ()
    word: bytes = b"LIST"
    criteria: tuple[str, ...] = ()
    old_name: str | None = None
    is_utf8: bool = False

    def render(self) -> bytes:
        attributes = " ".join(self.attributes).encode("ascii")
        line = b'* %b (%b) "/" %b' % (self.word, attributes, mailbox_name(self.name, self.is_utf8))
        if self.criteria:
            line += b' ("CHILDINFO" (%b))' % b" ".join(
                b'"%b"' % each.encode("ascii") for each in self.criteria
            )
        if self.old_name is not None:
            line += b' ("OLDNAME" (%b))' % mailbox_name(self.old_name, self.is_utf8)
        return line + b"\r\n"


@dataclass(frozen=True, slots=True)
class Counted:
    """STATUS: a mailbox and its counters in the order asked for. RFC 9051 §7.3.4."""

    name: str
    counters: Sequence[tuple[str, int | str]]
    is_utf8: bool = False

    def render(self) -> bytes:
        counters = " ".join(f"{word} {value}" for word, value in self.counters).encode("ascii")
        return b"* STATUS %b (%b)\r\n" % (mailbox_name(self.name, self.is_utf8), counters)


@dataclass(frozen=True, slots=True)
class FlagList:
    """FLAGS and PERMANENTFLAGS of a mailbox. RFC 9051 §7.3.5, §7.1. keywords: the account's."""

    keywords: Sequence[str]
    is_writable: bool

    def render(self) -> bytes:
        known = b" ".join((b"\\Answered \\Flagged \\Deleted \\Seen \\Draft", *map(str.encode, self.keywords)))
        permanent = known + b" \\*" if self.is_writable else b""
        return b"* FLAGS (%b)\r\n* OK [PERMANENTFLAGS (%b)] Flags\r\n" % (known, permanent)


@dataclass(frozen=True, slots=True)
class Expunges:
    """EXPUNGE for each number; every number counts what went before it as gone. RFC 9051 §7.5.1."""

    numbers: Iterable[int]

    def render(self) -> bytes:
        return b"".join([b"* %d EXPUNGE\r\n" % number for number in self.numbers])


def highest_modseq(modseq: int) -> Response:
    """How far a client may count itself informed. RFC 7162 §3.1.2.1, §6."""
    return Status("OK", "Highest", f"HIGHESTMODSEQ {modseq}")


def append_uid(uid_validity: int, uid: int) -> str:
    """APPENDUID. RFC 4315 §3."""
    return f"APPENDUID {uid_validity} {uid}"


def copy_uid(uid_validity: int, sources: Runs, targets: Runs) -> str:
    """COPYUID; empty where nothing was copied. RFC 4315 §3."""
    if not sources:
        return ""
    return f"COPYUID {uid_validity} {numbers.render(sources).decode()} {numbers.render(targets).decode()}"


class FlagTexts(dict[int, bytes]):
    """Flags as bits → `\\Seen $Forwarded`, remembered; built for one account's keywords."""

    LARGEST: Final = 10_000

    def __init__(self, keywords: Sequence[str]) -> None:
        self.keywords = keywords

    def __missing__(self, bits: int) -> bytes:
        found = flag_names(bits & ~RECENT, self.keywords)
        if bits & RECENT:
            found.append("\\Recent")
        text = " ".join(found).encode("ascii")
        if len(self) >= self.LARGEST:
            self.clear()
        self[bits] = text
        return text


def string(octets: bytes) -> bytes:
    """A quoted string, or a literal where it cannot be one. RFC 9051 §4.3."""
    if len(octets) <= LONGEST_QUOTED and _QUOTABLE.fullmatch(octets):
        return b'"%b"' % octets
    if len(octets) <= LONGEST_QUOTED and octets.isascii() and not set(octets) & {0, 10, 13}:
        return b'"%b"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b"{%d}\r\n%b" % (len(octets), octets)


def nstring(octets: bytes | None) -> bytes:
    """A string, or NIL."""
    return b"NIL" if octets is None else string(octets)


def astring(octets: bytes) -> bytes:
    """An atom where that is enough."""
    return octets if _PLAIN.fullmatch(octets) and octets.upper() != b"NIL" else string(octets)


def mailbox_name(name: str, is_utf8: bool) -> bytes:
    """A name as this client takes it: quoted UTF-8 (RFC 9051 §5.1), or modified UTF-7 (RFC 3501 §5.1.3)."""
    if not is_utf8:
        return astring(names.encode(name))
    if name.isascii():
        return astring(name.encode("ascii"))
    return b'"%b"' % name.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "replace")


def _line(text: str) -> bytes:
    """One line of ASCII: what else there is becomes `?`."""
    octets = text.encode("ascii", "replace")
    return octets if octets.isascii() and text.isprintable() else re.sub(rb"[^\x20-\x7e]", b"?", octets)
