"""FETCH: RFC 9051 §6.4.5, RFC 7162 §3.1.4, §3.2.6."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session import literals, reading
from services.imap.session.resync import Changed, changed_since
from services.imap.session.state import Extension, State
from services.imap.session.view import PAGE
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import MAX_NUMBER64, Arguments
from services.mail.imap.fetch.binary import UnknownEncoding
from services.mail.imap.fetch.items import FetchItems
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Rendered, Response
from services.mail.imap.resync import Vanished
from services.mail.store.flags import SEEN
from services.mail.store.messages import FlagChange, Items, Page
from services.mail.store.uids import Runs, count, intersect, runs_of, union
from services.plumbing.turns import beside

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("FETCH", State.SELECTED, uid_form=True, tells_expunges=False)
@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH: RFC 9051 §6.4.5. Pages are read from the store no faster than the client takes them.

    changed_since: only what changed after this modseq. tells_vanished: and what went. RFC 7162 §3.1.4.1, §3.2.6.
    """

    messages: Numbers
    items: FetchItems
    changed_since: int | None = None
    tells_vanished: bool = False

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        numbers, items = args.numbers(), FetchItems.parse(args)
        modifiers = {} if args.is_at_end else dict(args.list_of(lambda: _modifier(args), "modifiers"))
        changed_since, tells_vanished = modifiers.get("CHANGEDSINCE"), "VANISHED" in modifiers
        if tells_vanished and (changed_since is None or not args.are_uids):
            raise ProtocolError("VANISHED goes with UID FETCH and CHANGEDSINCE")
        if args.are_uids:
            items = items.including("UID")
        if changed_since is not None:
            items = items.including("MODSEQ")
        return cls(numbers, items, changed_since, tells_vanished)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if self.tells_vanished and not session.state.tells_vanished:
            raise ProtocolError("VANISHED needs ENABLE QRESYNC first")
        asked = _Asked(session, self)
        async for told in asked.begin():
            yield told
        if (answer := asked.whole()) is not None:
            yield Rendered(answer)
            yield session.ok("FETCH completed")
            return
        try:
            async for response in self._rows(session, asked):
                yield response
        except UnknownEncoding:
            yield session.no("A part has an encoding that is not known", "UNKNOWN-CTE")
            return
        if asked.found < count(asked.uids) and not self.messages.are_uids:
            yield session.no("Some of these messages have been deleted", "EXPUNGEISSUED")
        else:
            yield session.ok("FETCH completed")

    async def _rows(self, session: Session, asked: _Asked) -> AsyncIterator[Response]:
        async for page in asked.pages():
            asked.found += len(page.uids)
            shown, items = page, self.items
            if asked.sets_seen and (shown := await _set_seen(session, page)) is not page:
                items = session.updates.unasked(items.including("FLAGS"), with_uids=False)
            for news in session.updates.keywords(session.selected, shown.keywords):
                yield news
            session.updates.told(items, shown)
            async for response in literals.render(session, items, shown):
                yield response


class _Asked:
    """One FETCH: which messages it is about, and where their rows come from."""

    def __init__(self, session: Session, command: Fetch) -> None:
        self._session = session
        self._command = command
        self.uids: Runs = ()
        self.sets_seen = command.items.sets_seen and session.selected.is_writable
        self._columns = command.items.columns
        self._changed: Page | None = None
        self.found = 0

    async def begin(self) -> AsyncIterator[Response]:
        """What is told before the first row."""
        session, command = self._session, self._command
        self.uids = await session.uids(command.messages)
        if "MODSEQ" in command.items.words:
            for told in session.updates.enable(Extension.CONDSTORE):
                yield told
        if self.sets_seen:
            self._columns |= Items.FLAGS | (Items.MODSEQ if session.state.tells_modseqs else Items(0))
        if command.changed_since is not None or (
            not self.sets_seen and reading.are_at_hand(session, self._columns)
        ):
            runs = session.view.runs
            for news in await session.catch_up(command.messages.are_uids):
                yield news
            if session.view.runs is not runs:
                self.uids = await beside(len(self.uids), intersect, session.view.runs, self.uids)
        if command.changed_since is not None:
            changed = await self._changed_since(command.changed_since)
            if command.tells_vanished and changed.vanished:
                yield Vanished(changed.vanished, is_earlier=True)
            self._changed = changed.page
            self.uids = await beside(len(changed.page.uids), runs_of, changed.page.uids)

    async def _changed_since(self, modseq: int) -> Changed:
        """What changed since, among the messages that were named: by their uids even where they are gone."""
        session, messages = self._session, self._command.messages
        named = self.uids
        if messages.are_uids:
            known = messages.resolve(session.view.uid_next_told - 1)
            named = await beside(len(named) + len(known), union, named, known)
        return await changed_since(session.store, session.selected.mailbox.key, session.view, modseq, named)

    def whole(self) -> bytes | None:
        """The answer, where another one was the same."""
        if self._changed is not None or self.sets_seen:
            return None
        return reading.whole(self._session, self.uids, self._command.items)

    async def pages(self) -> AsyncIterator[Page]:
        """The rows, as they are now."""
        if self._changed is not None and self._columns in Items.FLAGS | Items.MODSEQ and not self.sets_seen:
            for start in range(0, len(self._changed.uids), PAGE):
                yield self._changed.between(start, start + PAGE)
            return
        async for page in reading.pages(self._session, self.uids, self._columns):
            yield page


def _modifier(args: Arguments) -> tuple[str, int]:
    name = args.atom("modifier")
    if name == "CHANGEDSINCE":
        return name, args.number("modseq", MAX_NUMBER64)
    if name == "VANISHED":
        return name, 0
    raise ProtocolError("no such modifier")


async def _set_seen(session: Session, page: Page) -> Page:
    """Sets \\Seen where the page lacks it, in one go; the page as it is then. RFC 9051 §6.4.5."""
    unseen = runs_of(uid for uid, flags in zip(page.uids, page.flags, strict=True) if not flags & SEEN)
    if not unseen:
        return page
    selected = session.selected
    stored = await session.store.messages.store(
        selected.mailbox.key, unseen, FlagChange.ADD, ("\\Seen",), request_id=uuid4()
    )
    await session.updates.wrote(selected, stored)
    fresh = dict(zip(stored.uids, zip(stored.flags, stored.modseqs, strict=True), strict=True))
    before = zip(page.flags, page.modseqs or repeat(0), strict=False)
    flags, modseqs = zip(
        *(fresh.get(uid, row) for uid, row in zip(page.uids, before, strict=True)), strict=True
    )
    return replace(page, flags=flags, modseqs=modseqs if page.modseqs else (), keywords=stored.keywords)
