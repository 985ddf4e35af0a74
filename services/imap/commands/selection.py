"""SELECT, EXAMINE, CLOSE, UNSELECT, CHECK: which mailbox is open. RFC 9051 §6.3.2, §6.4.1; RFC 7162 §3.1.8, §3.2.5."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from services.imap.registry import WithoutArguments, command
from services.imap.session.resync import changed_since
from services.imap.session.state import Extension, Selected, State
from services.imap.session.view import View
from services.mail.errors import MailboxNotFound, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import FlagList, Listed, Response, Status, highest_modseq
from services.mail.imap.resync import Known, Vanished, above
from services.mail.store.mailboxes import INBOX, canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@dataclass(frozen=True, slots=True)
class _Opening:
    """What SELECT and EXAMINE take. known: what the client knows from another session, with QRESYNC."""

    name: str
    tells_modseqs: bool = False
    known: Known | None = None

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        name = args.mailbox()
        if args.is_at_end:
            return cls(name)
        parameters = dict(args.list_of(lambda: _parameter(args), "parameters"))
        return cls(name, tells_modseqs=bool(parameters), known=parameters.get("QRESYNC"))

    async def _open(self, session: Session, is_writable: bool) -> AsyncIterator[Response]:
        if self.known is not None and not session.state.tells_vanished:
            raise ProtocolError("QRESYNC needs ENABLE QRESYNC first")
        if session.state.selected is not None:
            session.state.selected = None
            yield Status("OK", "Previous mailbox closed", "CLOSED")
        if self.tells_modseqs:
            session.updates.enable(Extension.CONDSTORE)
        name = canonical_name(self.name)
        opened = await session.store.mailboxes.open(session.account.account_id, name, is_writable)
        view = View.of(opened, session.door.folders.sharing(opened.mailbox.key))
        yield FlagList(opened.keywords, is_writable)
        for told in session.updates.exists(view):
            yield told
        if opened.first_unseen and not session.state.is_rev2:
            # RFC 3501 §6.3.1; whom it is not told can assume nothing, and RFC 9051 has none.
            yield Status("OK", "First unseen", f"UNSEEN {view.number(opened.first_unseen)}")
        yield Status("OK", "UIDs valid", f"UIDVALIDITY {opened.mailbox.uid_validity}")
        yield Status("OK", "Predicted next UID", f"UIDNEXT {opened.status.uid_next}")
        yield highest_modseq(view.highest_modseq)
        if session.state.is_rev2:
            old_name = self.name if self.name != name and name != INBOX else None
            yield Listed(name, old_name=old_name, is_utf8=True)
        selected = Selected(opened.mailbox, is_writable, view)
        known = self.known
        if known is not None and (
            known.uid_validity != opened.mailbox.uid_validity or known.modseq >= view.highest_modseq
        ):
            known = None
        session.select(selected, is_all_told=known is None)
        if known is not None:
            async for told in _resynchronise(session, selected, known):
                yield told
        yield session.ok(
            "SELECT completed" if is_writable else "EXAMINE completed",
            "READ-WRITE" if is_writable else "READ-ONLY",
        )


def _parameter(args: Arguments) -> tuple[str, Known | None]:
    name = args.atom("parameter")
    if name == "CONDSTORE":
        return name, None
    if name == "QRESYNC":
        return name, Known.parse(args)
    raise ProtocolError("no such parameter")


async def _resynchronise(session: Session, selected: Selected, known: Known) -> AsyncIterator[Response]:
    """What went and what changed since the client was here. RFC 7162 §3.2.5.1.

    It is asked after the view was opened, so it leaves out what has gone meanwhile: the news tells of that.
    """
    view = selected.view
    uids = ((1, view.uid_next_told - 1),) if known.uids is None else known.uids
    changed = await changed_since(session.store, selected.mailbox.key, view, known.modseq, uids)
    if vanished := above(changed.vanished, known.matched(view.runs)):
        yield Vanished(vanished, is_earlier=True)
    if changed.page.uids:
        for told in session.updates.keywords(selected, changed.page.keywords):
            yield told
        for told in session.updates.fetched(selected, changed.page, changed.page.keywords, with_uids=True):
            yield told


@command("SELECT", State.LOGGED_IN, capabilities=("CONDSTORE", "QRESYNC"))
@dataclass(frozen=True, slots=True)
class Select(_Opening):
    """SELECT: RFC 9051 §6.3.2. The mailbox that was open is left first, even where this fails."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        async for response in self._open(session, is_writable=True):
            yield response


@command("EXAMINE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Examine(_Opening):
    """EXAMINE: RFC 9051 §6.3.3. Nothing becomes old and nothing can be changed."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        async for response in self._open(session, is_writable=False):
            yield response


@command("CLOSE", State.SELECTED)
@dataclass(frozen=True, slots=True)
class Close(WithoutArguments):
    """CLOSE: RFC 9051 §6.4.1. What has \\Deleted goes, and nobody is told here."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        selected, session.state.selected = session.selected, None
        if selected.is_writable:
            with suppress(MailboxNotFound):  # deleted elsewhere: there is nothing left to close
                key, uids = selected.mailbox.key, selected.view.runs
                await session.store.messages.expunge(key, uids, request_id=uuid4())
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
