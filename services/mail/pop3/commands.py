"""The commands of POP3, where each may be given, and what their arguments are. RFC 1939 §5 to §7.

Rule: one row per command; whatever the row does not allow is refused before the door hears of it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Final

from services.mail.errors import ProtocolError

# More lines or messages than any maildrop has; larger numbers mean the same.
MOST: Final = 2**63 - 1
MAX_DIGITS: Final = 20
HEXADECIMAL: Final = re.compile(rb"[0-9A-Fa-f]{32}")
# No message has this number.
ALL: Final = -1


class State(Flag):
    """Where a session is. RFC 1939 §3."""

    AUTHORIZATION = auto()
    TRANSACTION = auto()


@dataclass(frozen=True, slots=True)
class Command:
    """One command as given.

    number: of a message, ALL where none was named. lines: TOP's. text: the octets of USER and PASS, APOP's login,
    AUTH's mechanism, LANG's range. digest: APOP's, 16 octets. initial: AUTH's initial response, None for none.
    """

    name: str
    number: int = ALL
    lines: int = 0
    text: bytes = b""
    digest: bytes = b""
    initial: bytes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One command.

    states: where it is allowed. parse: makes it of its name and what follows the name and a space.
    """

    states: State
    parse: Callable[[str, bytes | None], Command]


def parse_none(name: str, rest: bytes | None) -> Command:
    """No argument; trailing spaces are overlooked."""
    if rest is not None and rest.strip(b" "):
        raise ProtocolError(f"{name} takes no argument")
    return Command(name)


def parse_text(name: str, rest: bytes | None) -> Command:
    """All that follows the one space, spaces included, as RFC 1939 §7 has it for PASS."""
    if not rest:
        raise ProtocolError(f"{name} takes an argument")
    return Command(name, text=rest)


def parse_word_or_none(name: str, rest: bytes | None) -> Command:
    """One word, or nothing."""
    given = words(rest)
    if len(given) > 1:
        raise ProtocolError(f"{name} takes one argument")
    return Command(name, text=given[0] if given else b"")


def parse_digest(name: str, rest: bytes | None) -> Command:
    """A login, spaces included, and 16 octets in hexadecimal. RFC 1939 §7."""
    login, _, digest = (rest or b"").rpartition(b" ")
    if not login or not HEXADECIMAL.fullmatch(digest):
        raise ProtocolError(f"{name} takes a login and a digest of 32 hexadecimal digits")
    return Command(name, text=login, digest=bytes.fromhex(digest.decode("ascii")))


def parse_mechanism(name: str, rest: bytes | None) -> Command:
    """A SASL mechanism, and what the client answers in advance. RFC 5034 §4."""
    given = words(rest)
    if not 1 <= len(given) <= 2:
        raise ProtocolError(f"{name} takes a mechanism and an initial response")
    return Command(name, text=given[0], initial=given[1] if len(given) == 2 else None)


def parse_number(name: str, rest: bytes | None) -> Command:
    """A message number."""
    return Command(name, number_of(name, words(rest), 1)[0])


def parse_number_or_none(name: str, rest: bytes | None) -> Command:
    """A message number, or nothing, which means all messages."""
    return parse_number(name, rest) if words(rest) else Command(name)


def parse_number_and_lines(name: str, rest: bytes | None) -> Command:
    """A message number and how many lines of the body."""
    number, lines = number_of(name, words(rest), 2)
    return Command(name, number, lines)


def words(rest: bytes | None) -> list[bytes]:
    """Arguments between spaces."""
    return [word for word in (rest or b"").split(b" ") if word]


def number_of(name: str, given: list[bytes], wanted: int) -> list[int]:
    """Decimal numbers, exactly as many as wanted. Raises ProtocolError."""
    if len(given) != wanted:
        raise ProtocolError(f"{name} takes {'one number' if wanted == 1 else 'two numbers'}")
    if not all(word.isdigit() and len(word) <= MAX_DIGITS for word in given):
        raise ProtocolError(f"{name} takes decimal numbers")
    return [min(int(word), MOST) for word in given]


ANYWHERE: Final = State.AUTHORIZATION | State.TRANSACTION

TABLE: Final[dict[bytes, Row]] = {
    b"CAPA": Row(ANYWHERE, parse_none),  # RFC 2449 §5
    b"LANG": Row(ANYWHERE, parse_word_or_none),  # RFC 6856 §3
    b"UTF8": Row(State.AUTHORIZATION, parse_none),  # RFC 6856 §2
    b"STLS": Row(State.AUTHORIZATION, parse_none),  # RFC 2595 §4
    b"USER": Row(State.AUTHORIZATION, parse_text),
    b"PASS": Row(State.AUTHORIZATION, parse_text),
    b"APOP": Row(State.AUTHORIZATION, parse_digest),
    b"AUTH": Row(State.AUTHORIZATION, parse_mechanism),  # RFC 5034 §4
    b"QUIT": Row(ANYWHERE, parse_none),
    b"STAT": Row(State.TRANSACTION, parse_none),
    b"LIST": Row(State.TRANSACTION, parse_number_or_none),
    b"UIDL": Row(State.TRANSACTION, parse_number_or_none),
    b"RETR": Row(State.TRANSACTION, parse_number),
    b"DELE": Row(State.TRANSACTION, parse_number),
    b"NOOP": Row(State.TRANSACTION, parse_none),
    b"RSET": Row(State.TRANSACTION, parse_none),
    b"TOP": Row(State.TRANSACTION, parse_number_and_lines),
}


def parse(line: bytes, state: State) -> Command:
    """The command of one line without its line end. Raises ProtocolError."""
    verb, space, rest = line.partition(b" ")
    row = TABLE.get(verb.upper())
    if row is None:
        raise ProtocolError("unknown command")
    name = verb.upper().decode("ascii")
    if state not in row.states:
        raise ProtocolError(
            f"{name} is not possible {'before' if state is State.AUTHORIZATION else 'after'} login"
        )
    if b"\0" in rest:
        raise ProtocolError("NUL in a command")
    return row.parse(name, rest if space else None)
