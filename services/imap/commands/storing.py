"""STORE: RFC 9051 §6.4.6, RFC 7162 §3.1.3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session.resync import rows_of
from services.imap.session.state import Extension, State
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import MAX_NUMBER64, Arguments
from services.mail.imap.numbers import Numbers, render
from services.mail.imap.responses import Response
from services.mail.store.messages import FlagChange, Page, Stored
from services.mail.store.uids import Runs, count, intersect, runs_of, subtract

if TYPE_CHECKING:
    from services.imap.conversation import Session

_CHANGES: Final = {"FLAGS": FlagChange.REPLACE, "+FLAGS": FlagChange.ADD, "-FLAGS": FlagChange.REMOVE}


@command("STORE", State.SELECTED, uid_form=True, tells_expunges=False)
@dataclass(frozen=True, slots=True)
class Store:
    """STORE: RFC 9051 §6.4.6. Every message that lives is answered, changed or not, unless SILENT.

    unchanged_since: what changed after this modseq is left alone, and named in MODIFIED. RFC 7162 §3.1.3.
    """

    messages: Numbers
    change: FlagChange
    is_silent: bool
    flags: tuple[str, ...]
    unchanged_since: int | None = None

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        messages, unchanged_since = args.numbers(), None
        if args.peek() == b"(":
            modifiers = dict(args.list_of(lambda: _modifier(args), "modifiers"))
            unchanged_since = modifiers.get("UNCHANGEDSINCE")
        item = args.atom("FLAGS")
        change = _CHANGES.get(item.removesuffix(".SILENT"))
        if change is None:
            raise ProtocolError("expected FLAGS, +FLAGS or -FLAGS")
        return cls(messages, change, item.endswith(".SILENT"), args.flags(), unchanged_since)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        selected = session.selected
        uids = await session.uids(self.messages)
        if not selected.is_writable:
            yield session.no("The mailbox is open for reading only", "READ-ONLY")
            return
        found, modified = 0, ""
        if self.unchanged_since is not None:
            for told in session.updates.enable(Extension.CONDSTORE):
                yield told
        if uids:
            stored = await session.store.messages.store(
                selected.mailbox.key, uids, self.change, self.flags, self.unchanged_since, uuid4()
            )
            found = len(stored.uids)
            await session.updates.wrote(selected, stored, is_told=not self.is_silent)
            for told in self._told(session, stored):
                yield told
            modified = self._modified(session, stored.modified)
        if found < count(uids) and not self.messages.are_uids:
            yield session.no("Some of these messages have been deleted", modified or "EXPUNGEISSUED")
        else:
            yield session.ok("STORE completed", modified)

    def _told(self, session: Session, stored: Stored) -> Iterator[Response]:
        """The flags as they are now, or with SILENT what the client needs beside them. RFC 7162 §3.1.3."""
        updates, selected, with_uids = session.updates, session.selected, self.messages.are_uids
        yield from updates.keywords(selected, stored.keywords)
        page = Page(stored.uids, flags=stored.flags, modseqs=stored.modseqs, keywords=stored.keywords)
        if not self.is_silent:
            if page.uids:
                yield from updates.fetched(selected, page, stored.keywords, with_uids)
            return
        if not session.state.tells_modseqs:
            return
        silent = stored.changed
        if self.unchanged_since is not None:
            silent = subtract(runs_of(stored.uids), stored.modified)
        if (written := rows_of(page, silent)).uids:
            yield from updates.fetched(selected, written, stored.keywords, with_uids, words=())
        if (left := rows_of(page, stored.modified)).uids:
            yield from updates.fetched(selected, left, stored.keywords, with_uids)

    def _modified(self, session: Session, uids: Runs) -> str:
        """MODIFIED, in the numbers of this command; empty where all was done."""
        if self.messages.are_uids:
            named = intersect(uids, session.view.runs)
        else:
            named = runs_of(session.view.each_number(uids))
        return f"MODIFIED {render(named).decode()}" if named else ""


def _modifier(args: Arguments) -> tuple[str, int]:
    if (name := args.atom("modifier")) != "UNCHANGEDSINCE":
        raise ProtocolError("no such modifier")
    return name, args.number("modseq", MAX_NUMBER64)
