"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. RFC 9051 §6.3.4."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session.state import State
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Response, Status
from services.mail.store.mailboxes import canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("CREATE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Create:
    """CREATE: RFC 9051 §6.3.4. Missing superiors are made too."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        name = canonical_name(self.name)
        await session.store.mailboxes.create(session.account.account_id, name, request_id=uuid4())
        yield session.ok("CREATE completed")


@command("DELETE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE: RFC 9051 §6.3.5. Whoever has it selected is told BYE, this session too."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        name = canonical_name(self.name)
        await session.store.mailboxes.delete(session.account.account_id, name)
        selected = session.state.selected
        if selected is not None and selected.mailbox.name == name:
            session.state.selected = None
            yield Status("OK", "The selected mailbox is gone", "CLOSED")
        yield session.ok("DELETE completed")


@command("RENAME", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Rename:
    """RENAME: RFC 9051 §6.3.6."""

    name: str
    new_name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox(), args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        account_id = session.account.account_id
        await session.store.mailboxes.rename(
            account_id, canonical_name(self.name), canonical_name(self.new_name)
        )
        yield session.ok("RENAME completed")


@command("SUBSCRIBE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE: RFC 9051 §6.3.7. The name need not exist."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        await session.store.mailboxes.subscribe(session.account.account_id, canonical_name(self.name), True)
        yield session.ok("SUBSCRIBE completed")


@command("UNSUBSCRIBE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE: RFC 9051 §6.3.8."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        await session.store.mailboxes.subscribe(session.account.account_id, canonical_name(self.name), False)
        yield session.ok("UNSUBSCRIBE completed")
