"""The commands of SMTP, a row each: its verb, the states that allow it and its arguments. RFC 5321 §4.1.1.

The rule: a command parses or raises `Malformed` with the reply that says why; it knows nothing of what came before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import ClassVar, Final, TypeVar

from services.mail.errors import ProtocolError
from services.mail.smtp import notices, paths, replies
from services.mail.smtp.paths import Path
from services.mail.smtp.replies import Reply


class State(IntEnum):
    """How far a connection has come; each state allows what the ones before it allow, as the rows say."""

    START = 0
    READY = 1
    SENDER = 2
    RECIPIENTS = 3
    CHUNKS = 4
    BODY = 5
    CLOSED = 6


class Malformed(ProtocolError):
    """A command line that does not parse; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.octets[4:-2].decode())
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Command:
    """What every command has: its verb, where it is allowed, and the state that a positive reply leads to."""

    verb: ClassVar[str]
    allowed_from: ClassVar[State]
    leads_to: ClassVar[State | None]

    @classmethod
    def parse(cls, argument: str) -> Command:
        """The command of what follows the verb; here for the commands that take nothing. Raises Malformed."""
        if argument:
            raise Malformed(replies.NO_ARGUMENTS)
        return cls()


REGISTRY: Final[dict[str, type[Command]]] = {}

_C = TypeVar("_C", bound=type[Command])


def command(
    verb: str, allowed_from: State = State.START, leads_to: State | None = None
) -> Callable[[_C], _C]:
    """Registers a command: from which state on it is allowed, and where a positive reply leads."""

    def register(kind: _C) -> _C:
        kind.verb = verb
        kind.allowed_from = allowed_from
        kind.leads_to = leads_to
        REGISTRY[verb] = kind
        return kind

    return register


@dataclass(frozen=True, slots=True)
class Hello(Command):
    """EHLO or HELO, the start of a session; in the middle of a letter it forgets it. RFC 5321 §4.1.4."""

    hostname: str

    @classmethod
    def parse(cls, argument: str) -> Hello:
        """Takes what can be repeated in a trace header and no more; whether it is true is not asked."""
        if not argument:
            raise Malformed(replies.NEEDS_ARGUMENT)
        if not paths.is_hostname(argument):
            raise Malformed(replies.BAD_HOSTNAME)
        return cls(argument)


@command("EHLO", leads_to=State.READY)
class Ehlo(Hello):
    """EHLO: RFC 5321 §4.1.1.1."""

    __slots__ = ()


@command("HELO", leads_to=State.READY)
class Helo(Hello):
    """HELO: RFC 5321 §4.1.1.1. A client that says it may not pipeline."""

    __slots__ = ()


@command("LHLO", leads_to=State.READY)
class Lhlo(Ehlo):
    """LHLO: EHLO where each recipient is answered for itself. RFC 2033 §4.1."""

    __slots__ = ()


_MAIL = re.compile(rf"FROM: *<(?:{paths.MAILBOX})?>(?: +(?P<parameters>.*))?", re.IGNORECASE)
_RCPT = re.compile(
    rf"TO: *<(?:{paths.MAILBOX}|(?P<postmaster>postmaster))>(?: +(?P<parameters>.*))?", re.IGNORECASE
)
_BRACKETED_FROM = re.compile(r"FROM: *<.*>.*", re.IGNORECASE)
_BRACKETED_TO = re.compile(r"TO: *<.*>.*", re.IGNORECASE)
_SIZE = re.compile(r"[0-9]{1,20}", re.ASCII)


def _path(match: re.Match[str], refusal: Reply) -> Path:
    local = match["local"]
    if local is None:
        return paths.NULL
    path = paths.build(local, match["domain"])
    if path is None:
        raise Malformed(refusal)
    return path


def _size(value: str) -> str | None:
    """RFC 1870 §4."""
    return value if _SIZE.fullmatch(value) else None


def _body(value: str) -> str | None:
    """RFC 6152 §2."""
    word = value.upper()
    return word if word in {"7BIT", "8BITMIME"} else None


def _flag(value: str) -> str | None:
    """A parameter that has no value."""
    return None if value else "="


# What reads the value of a parameter; None where it is none.
_Readers = Mapping[str, Callable[[str], str | None]]
_OF_MAIL: Final[_Readers] = {"SIZE": _size, "BODY": _body, "SMTPUTF8": _flag, **notices.OF_MAIL}
_OF_RCPT: Final[_Readers] = notices.OF_RCPT


def _parameters(words: str, readers: _Readers) -> dict[str, str]:
    """The parameters of MAIL or RCPT by name. RFC 5321 §4.1.2. Raises Malformed."""
    given: dict[str, str] = {}
    for word in words.split():
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        reader = readers.get(keyword)
        if reader is None:
            raise Malformed(replies.UNKNOWN_PARAMETER)
        read = reader(value or equals)
        if read is None or keyword in given:
            raise Malformed(replies.BAD_PARAMETER)
        given[keyword] = read
    return given


@command("MAIL", State.READY, State.SENDER)
@dataclass(frozen=True, slots=True)
class Mail(Command):
    """MAIL: RFC 5321 §4.1.1.2. size: octets announced (RFC 1870), 0 where none were. dsn: see `notices`."""

    sender: Path
    size: int = 0
    is_8bit: bool = False
    smtputf8: bool = False
    dsn: str = ""

    @classmethod
    def parse(cls, argument: str) -> Mail:
        """Reads the sender and the parameters SIZE, BODY (RFC 6152), SMTPUTF8 (RFC 6531 §3.4), RET and ENVID."""
        match = _MAIL.fullmatch(argument)
        if match is None:
            bracketed = _BRACKETED_FROM.fullmatch(argument)
            raise Malformed(replies.BAD_SENDER if bracketed else replies.BAD_MAIL)
        sender = _path(match, replies.BAD_SENDER)
        if not match["parameters"]:
            if not sender.is_ascii:
                raise Malformed(replies.NEEDS_SMTPUTF8)
            return cls(sender)
        given = _parameters(match["parameters"], _OF_MAIL)
        smtputf8 = "SMTPUTF8" in given
        if not (smtputf8 or sender.is_ascii):
            raise Malformed(replies.NEEDS_SMTPUTF8)
        return cls(
            sender,
            int(given.get("SIZE", 0)),
            given.get("BODY") == "8BITMIME",
            smtputf8,
            notices.rendered(given),
        )


@command("RCPT", State.SENDER, State.RECIPIENTS)
@dataclass(frozen=True, slots=True)
class Rcpt(Command):
    """RCPT: RFC 5321 §4.1.1.3. dsn: see `notices`."""

    recipient: Path
    dsn: str = ""

    @classmethod
    def parse(cls, argument: str) -> Rcpt:
        """Reads the recipient, NOTIFY and ORCPT; <postmaster> needs no domain (RFC 5321 §4.5.1)."""
        match = _RCPT.fullmatch(argument)
        if match is None:
            bracketed = _BRACKETED_TO.fullmatch(argument)
            raise Malformed(replies.BAD_RECIPIENT if bracketed else replies.BAD_RCPT)
        path = Path("postmaster") if match["postmaster"] else _path(match, replies.BAD_RECIPIENT)
        given = _parameters(match["parameters"], _OF_RCPT) if match["parameters"] else {}
        return cls(path, notices.rendered(given))


@command("DATA", State.RECIPIENTS, State.BODY)
@dataclass(frozen=True, slots=True)
class Data(Command):
    """DATA: RFC 5321 §4.1.1.4."""


_CHUNK = re.compile(r"([0-9]{1,20})( +LAST)?", re.ASCII | re.IGNORECASE)


@command("BDAT", State.RECIPIENTS, State.BODY)
@dataclass(frozen=True, slots=True)
class Bdat(Command):
    """BDAT: RFC 3030 §2. size: octets of the chunk, which follow the line; is_last: they end the message."""

    size: int
    is_last: bool

    @classmethod
    def parse(cls, argument: str) -> Bdat:
        """Reads both."""
        match = _CHUNK.fullmatch(argument)
        if match is None:
            raise Malformed(replies.BAD_BDAT)
        return cls(int(match[1]), match[2] is not None)


@command("RSET")
@dataclass(frozen=True, slots=True)
class Rset(Command):
    """RSET: RFC 5321 §4.1.1.5."""


@command("NOOP")
@dataclass(frozen=True, slots=True)
class Noop(Command):
    """NOOP: RFC 5321 §4.1.1.9."""

    @classmethod
    def parse(cls, argument: str) -> Noop:  # noqa: ARG003 — whatever is said is not looked at
        """Takes any argument."""
        return cls()


@command("VRFY")
@dataclass(frozen=True, slots=True)
class Vrfy(Command):
    """VRFY: RFC 5321 §4.1.1.6. Never answered with what is true, lest addresses be harvested (§7.3)."""

    @classmethod
    def parse(cls, argument: str) -> Vrfy:
        """Asks for an argument and forgets it."""
        if not argument:
            raise Malformed(replies.NEEDS_ARGUMENT)
        return cls()


@command("HELP")
@dataclass(frozen=True, slots=True)
class Help(Command):
    """HELP: RFC 5321 §4.1.1.8."""

    @classmethod
    def parse(cls, argument: str) -> Help:  # noqa: ARG003 — one answer for every topic
        """Takes any argument."""
        return cls()


@command("STARTTLS", State.READY, State.START)
@dataclass(frozen=True, slots=True)
class StartTls(Command):
    """STARTTLS: RFC 3207 §4."""


@command("QUIT", leads_to=State.CLOSED)
@dataclass(frozen=True, slots=True)
class Quit(Command):
    """QUIT: RFC 5321 §4.1.1.10."""


# Lines up to so many octets are remembered: the same senders and recipients come again and again.
_USUAL: Final = 128

# Known and not offered: 502 rather than 500 (RFC 5321 §4.2.4).
_NOT_IMPLEMENTED: Final = frozenset({"EXPN", "AUTH", "TURN", "ETRN", "SEND", "SOML", "SAML"})


def parse(line: bytes) -> Command:
    """The command of one line without its line end. Raises Malformed."""
    return _parse_usual(line) if len(line) <= _USUAL else _parse(line)


def _parse(line: bytes) -> Command:
    head, _, rest = line.partition(b" ")
    verb = head.decode("latin-1").upper()
    kind = REGISTRY.get(verb)
    if kind is None:
        raise Malformed(replies.NOT_IMPLEMENTED if verb in _NOT_IMPLEMENTED else replies.UNKNOWN_COMMAND)
    try:
        argument = rest.strip(b" \t").decode()
    except UnicodeDecodeError:
        raise Malformed(replies.BAD_ENCODING) from None
    return kind.parse(argument)


_parse_usual = lru_cache(maxsize=2048)(_parse)
