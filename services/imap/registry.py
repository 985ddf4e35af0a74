"""One row per command: where it is allowed, what it may tell, what it announces.

The rule: the row is the only place that says so; the state check, the UID form and the CAPABILITY line follow from it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from services.imap.session.state import State
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Response

if TYPE_CHECKING:
    from services.imap.conversation import Session


class Command(Protocol):
    """One command with its arguments."""

    @classmethod
    def parse(cls, args: Arguments, /) -> Self:
        """Reads the arguments. Raises ProtocolError, MailError."""
        ...

    def run(self, session: Session) -> AsyncIterator[Response]:
        """Does it; the last answer is the tagged one. Raises MailError, ProtocolError."""
        ...


class WithoutArguments:
    """The parse of a command that takes none."""

    __slots__ = ()

    @classmethod
    def parse(cls, _: Arguments, /) -> Self:
        """Reads nothing; whatever there is, is too much."""
        return cls()


@dataclass(frozen=True, slots=True)
class Row:
    """name: the verb. kind: its dataclass. states: where it is allowed. uid_form: whether UID may stand before it.

    tells_expunges: whether EXPUNGE may be told while it runs by sequence number (RFC 9051 §7.5.1). has_target: whether
    a missing mailbox is a target that could be made (TRYCREATE). capabilities: announced where the command is allowed.
    """

    name: str
    kind: type[Command]
    states: State
    uid_form: bool
    tells_expunges: bool
    has_target: bool
    capabilities: tuple[str, ...]


ROWS: Final[dict[str, Row]] = {}

C = TypeVar("C", bound=Command)


def command(
    name: str,
    states: State,
    *,
    uid_form: bool = False,
    tells_expunges: bool = True,
    has_target: bool = False,
    capabilities: tuple[str, ...] = (),
) -> Callable[[type[C]], type[C]]:
    """Registers a command's dataclass under its verb."""

    def register(kind: type[C]) -> type[C]:
        if name in ROWS:
            raise ValueError(f"{name} is registered twice")
        ROWS[name] = Row(name, kind, states, uid_form, tells_expunges, has_target, capabilities)
        return kind

    return register


def read_verb(args: Arguments) -> tuple[Row, str]:
    """The row of the command that comes next, and its name with UID in front where that was said.

    Raises ProtocolError where there is no such command.
    """
    name = args.atom("command")
    args.are_uids = name == "UID"
    if args.are_uids:
        name = args.atom("command")
    row = ROWS.get(name)
    # UID EXPUNGE narrows EXPUNGE by a set; every other UID form has the arguments of the form without.
    if row is None or (args.are_uids and not row.uid_form):
        raise ProtocolError("unknown command")
    return row, f"UID {name}" if args.are_uids else name


def capabilities(states: State) -> list[str]:
    """What the rows announce in this state, in their order, once each."""
    return list(
        dict.fromkeys(word for row in ROWS.values() if row.states & states for word in row.capabilities)
    )
