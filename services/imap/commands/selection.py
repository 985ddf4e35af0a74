"""SELECT, EXAMINE, CLOSE, UNSELECT, CHECK: which mailbox is open. RFC 9051 §6.3.2, §6.4.1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.imap.registry import WithoutArguments, command
from services.imap.session.state import Selected, State
from services.imap.session.view import View
from services.mail.errors import MailboxNotFound
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import FlagList, Response, Status, Untagged
from services.mail.store.mailboxes import canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("SELECT", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Select:
    """SELECT: RFC 9051 §6.3.2. The mailbox that was open is left first, even where this fails."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        async for response in _open(session, self.name, is_writable=True):
            yield response


@command("EXAMINE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Examine:
    """EXAMINE: RFC 9051 §6.3.3. Nothing becomes old and nothing can be changed."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        async for response in _open(session, self.name, is_writable=False):
            yield response


async def _open(session: Session, name: str, is_writable: bool) -> AsyncIterator[Response]:
    if session.state.selected is not None:
        session.state.selected = None
        yield Status("OK", "Previous mailbox closed", "CLOSED")
    opened = await session.store.mailboxes.open(session.account.account_id, canonical_name(name), is_writable)
    view = View.of(opened)
    yield FlagList(opened.keywords, is_writable)
    yield Untagged(f"{view.count} EXISTS")
    yield Untagged(f"{view.recent_count} RECENT")
    yield Status("OK", "UIDs valid", f"UIDVALIDITY {opened.mailbox.uid_validity}")
    yield Status("OK", "Predicted next UID", f"UIDNEXT {opened.status.uid_next}")
    session.state.selected = Selected(opened.mailbox, is_writable, view)
    yield session.ok(
        "SELECT completed" if is_writable else "EXAMINE completed",
        "READ-WRITE" if is_writable else "READ-ONLY",
    )


@command("CLOSE", State.SELECTED)
@dataclass(frozen=True, slots=True)
class Close(WithoutArguments):
    """CLOSE: RFC 9051 §6.4.1. What has \\Deleted goes, and nobody is told here."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        selected, session.state.selected = session.selected, None
        if selected.is_writable:
            with suppress(MailboxNotFound):  # deleted elsewhere: there is nothing left to close
                await session.store.messages.expunge(selected.mailbox.key, selected.view.runs)
        yield session.ok("CLOSE completed")


@command("UNSELECT", State.SELECTED, capabilities=("UNSELECT",))
@dataclass(frozen=True, slots=True)
class Unselect(WithoutArguments):
    """UNSELECT: RFC 9051 §6.4.2."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        session.state.selected = None
        yield session.ok("UNSELECT completed")


@command("CHECK", State.SELECTED)
@dataclass(frozen=True, slots=True)
class Check(WithoutArguments):
    """CHECK: RFC 3501 §6.4.1. Everything acknowledged is durable already."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        yield session.ok("CHECK completed")
