"""CAPABILITY, NOOP, LOGOUT, ID: allowed in every state. RFC 9051 §6.1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.imap.registry import WithoutArguments, command
from services.imap.session.state import State
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Response, Status, Untagged

if TYPE_CHECKING:
    from services.imap.conversation import Session

MAX_ID_FIELDS = 30


@command("CAPABILITY", State.ANY)
@dataclass(frozen=True, slots=True)
class Capability(WithoutArguments):
    """CAPABILITY: RFC 9051 §6.1.1."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        yield Untagged(session.capabilities())
        yield session.ok("CAPABILITY completed")


@command("NOOP", State.ANY)
@dataclass(frozen=True, slots=True)
class Noop(WithoutArguments):
    """NOOP: RFC 9051 §6.1.2. What was acknowledged anywhere before it is shown."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        for news in await session.catch_up(tells_expunges=True):
            yield news
        yield session.ok("NOOP completed")


@command("LOGOUT", State.ANY)
@dataclass(frozen=True, slots=True)
class Logout(WithoutArguments):
    """LOGOUT: RFC 9051 §6.1.3. What has \\Deleted stays."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        session.state.is_ending = True
        yield Status("BYE", "Logging out")
        yield session.ok("LOGOUT completed")


@command("ID", State.ANY, capabilities=("ID",))
@dataclass(frozen=True, slots=True)
class Identify:
    """ID: RFC 2971 §3.1. What the client tells is read and forgotten."""

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        if args.peek() == b"(":
            fields = args.list_of(lambda: (args.string("field name"), args.nstring("value")), "fields")
            if len(fields) > MAX_ID_FIELDS:
                raise ProtocolError("ID takes at most 30 fields")
        elif args.nstring("fields") is not None:
            raise ProtocolError("ID takes NIL or a list of fields")
        return cls()

    async def run(self, session: Session) -> AsyncIterator[Response]:
        yield Untagged('ID ("name" "Restante")')
        yield session.ok("ID completed")
