"""FETCH: RFC 9051 §6.4.5."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from services.imap.registry import command
from services.imap.session import reading
from services.imap.session.state import State
from services.mail.errors import MailError
from services.mail.imap.arguments import Arguments
from services.mail.imap.fetch.items import FetchItems
from services.mail.imap.fetch.sections import Extent
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Rendered, Response
from services.mail.store.flags import SEEN
from services.mail.store.messages import FlagChange, Items, Page
from services.mail.store.uids import count, intersect, runs_of

if TYPE_CHECKING:
    from services.imap.conversation import Session

JOINED = 64 * 1024


@command("FETCH", State.SELECTED, uid_form=True, tells_expunges=False)
@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH: RFC 9051 §6.4.5. Pages are read from the store no faster than the client takes them."""

    messages: Numbers
    items: FetchItems

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        numbers, items = args.numbers(), FetchItems.parse(args)
        return cls(numbers, items.including("UID") if args.are_uids else items)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        uids, items, found = session.view.uids(self.messages), self.items, 0
        columns = items.columns
        sets_seen = items.sets_seen and session.selected.is_writable
        if sets_seen:
            columns |= Items.FLAGS
        elif reading.are_at_hand(session, columns):
            for news in await session.catch_up(self.messages.are_uids):
                yield news
            uids = intersect(session.view.runs, uids)
        async for page in reading.pages(session, uids, columns):
            found += len(page.uids)
            shown, told = page, items
            if sets_seen and (shown := await _set_seen(session, page)) is not page:
                told = items.including("FLAGS")
            for news in session.updates.keywords(session.selected, shown.keywords):
                yield news
            async for response in _render(session, told, shown):
                yield response
        if found < count(uids) and not self.messages.are_uids:
            yield session.no("Some of these messages are gone", "EXPUNGEISSUED")
        else:
            yield session.ok("FETCH completed")


async def _set_seen(session: Session, page: Page) -> Page:
    """Sets \\Seen where the page lacks it, in one go; the page as it is then. RFC 9051 §6.4.5."""
    unseen = runs_of(uid for uid, flags in zip(page.uids, page.flags, strict=True) if not flags & SEEN)
    if not unseen:
        return page
    selected = session.selected
    stored = await session.store.messages.store(selected.mailbox.key, unseen, FlagChange.ADD, ("\\Seen",))
    session.updates.wrote(selected, stored)
    fresh = dict(zip(stored.uids, stored.flags, strict=True))
    flags = [fresh.get(uid, before) for uid, before in zip(page.uids, page.flags, strict=True)]
    return replace(page, flags=flags, keywords=stored.keywords)


async def _render(session: Session, items: FetchItems, page: Page) -> AsyncIterator[Response]:
    page, numbers = session.updates.known(session.selected, page)
    gathered: list[bytes] = []
    size = 0
    for piece in items.render(page, numbers, session.updates.texts(page.keywords)):
        if isinstance(piece, Extent):
            yield Rendered(b"".join(gathered))
            gathered, size = [], 0
            async for octets in _read(session, piece):
                yield Rendered(octets)
            continue
        gathered.append(piece)
        size += len(piece)
        if size >= JOINED:
            yield Rendered(b"".join(gathered))
            gathered, size = [], 0
    if gathered:
        yield Rendered(b"".join(gathered))


async def _read(session: Session, extent: Extent) -> AsyncIterator[bytes]:
    """Octets that fill a literal whose size was told, or those of a header whose fields are to be cut out."""
    read = session.store.messages.read(session.selected.mailbox.key, extent.uid, extent.start, extent.end)
    left = extent.end - extent.start
    try:
        if extent.section is not None:
            header = extent.section.cut(b"".join([octets async for octets in read]))
            yield b"{%d}\r\n%b" % (len(header), header)
            return
        async for octets in read:
            left -= len(octets)
            yield octets
    except MailError as error:
        session.break_off(f"a literal could not be filled: {error.text}")
    if left:
        session.break_off("a literal could not be filled")
