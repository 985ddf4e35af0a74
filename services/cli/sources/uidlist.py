"""Dovecot's files beside a Maildir: dovecot-uidlist, which names each message's uid, and dovecot-keywords.

https://doc.dovecot.org/2.3/admin_manual/mailbox_formats/maildir/. The rule: a line that cannot be read is passed over;
its message is then one without a uid.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

UIDLIST: Final = "dovecot-uidlist"
KEYWORDS: Final = "dovecot-keywords"
# Dovecot's own pop3_uidl_format.
UIDL_FORMAT: Final = "%08Xu%08Xv"
_ESCAPED: Final = re.compile(r"\\(2e|5c|2f)")
_UIDL_PART: Final = re.compile(r"%(0?)(\d*)([Xxd]?)([uv])")


@dataclass(frozen=True, slots=True)
class Listed:
    """A message's uid, and the unique id that was kept of a server before; "" for none."""

    uid: int
    unique_id: str = ""


@dataclass(slots=True)
class UidList:
    """What the file says. messages: by file name up to its flags."""

    uid_validity: int = 0
    uid_next: int = 0
    messages: dict[str, Listed] = field(default_factory=dict)


def read_uidlist(path: Path) -> UidList:
    """A dovecot-uidlist, of version 3 or 1; empty where there is none."""
    try:
        lines = path.read_bytes().decode("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return UidList()
    found = UidList()
    if not lines:
        return found
    version, *rest = lines[0].split()
    if version == "3":
        fields = {word[0]: word[1:] for word in rest}
        found.uid_validity, found.uid_next = _number(fields.get("V", "")), _number(fields.get("N", ""))
    elif version == "1" and len(rest) == 2:
        found.uid_validity, found.uid_next = map(_number, rest)
    for line in lines[1:]:
        left, _, name = line.partition(" :") if version == "3" else line.partition(" ")
        words = left.split()
        if words and name and (number := _number(words[0])):
            unique_id = next((word[1:] for word in words[1:] if word[0] == "P"), "")
            found.messages[base_name(name)] = Listed(number, unique_id)
    return found


def write_uidlist(uid_validity: int, uid_next: int, messages: Iterable[tuple[str, Listed]]) -> str:
    """A dovecot-uidlist, of version 3. messages: file names with what is known of each."""
    lines = [f"3 V{uid_validity} N{uid_next}"]
    for name, listed in messages:
        kept = f" P{listed.unique_id}" if listed.unique_id else ""
        lines.append(f"{listed.uid}{kept} :{name}")
    return "".join(f"{line}\n" for line in lines)


def read_keywords(path: Path) -> dict[str, str]:
    """Keywords by the letter that stands for each in file names."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split(" ", 1) for line in lines)
    return {
        chr(ord("a") + int(pair[0])): pair[1]
        for pair in pairs
        if len(pair) == 2 and pair[0].isdigit() and int(pair[0]) < 26
    }


def base_name(name: str) -> str:
    """A file's name up to its flags."""
    return name.partition(":2,")[0]


def formatted(pattern: str, uid: int, uid_validity: int) -> str:
    """A unique id as a server makes it of a uid; "" for a pattern of nothing. Raises ValueError."""

    def put(match: re.Match[str]) -> str:
        value = uid if match[4] == "u" else uid_validity
        # Dovecot's X is hexadecimal, and its letters are small.
        return format(value, f"{match[1]}{match[2]}{'x' if match[3] in ('X', 'x') else 'd'}")

    text = _UIDL_PART.sub(put, pattern)
    if "%" in text:
        raise ValueError(f"{pattern!r} has more than %u and %v in it")
    return text


def escaped(level: str) -> str:
    """A level of a mailbox name as a file name has it: without "." as Dovecot's plugin listescape does."""
    return level.replace("\\", "\\5c").replace(".", "\\2e")


def unescaped(level: str) -> str:
    """The level that `escaped` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), level)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) < 2**32 else 0
