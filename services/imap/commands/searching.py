"""SEARCH: RFC 9051 §6.4.4, RFC 4731, RFC 5182."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Self, cast

from services.imap.registry import command
from services.imap.session import reading
from services.imap.session.state import Extension, State
from services.imap.session.view import View
from services.mail.errors import LimitExceeded, ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Response
from services.mail.imap.search import keys
from services.mail.imap.search.keys import Keys
from services.mail.imap.search.returning import Returning, extended, listed
from services.mail.search.deciding import Rows, by_columns, chosen, decide
from services.mail.store.messages import Items
from services.mail.store.search import Among, Everything, Flagged, Found, Operator, Query
from services.mail.store.uids import Run, Runs, between
from services.plumbing.turns import beside

if TYPE_CHECKING:
    from services.imap.conversation import Session

CHARSETS: Final = {"US-ASCII": "utf-8", "UTF-8": "utf-8"}
# How long to compute before other sessions have their turn.
_STEP_SECONDS: Final = 0.003
_RUNS_AT_ONCE: Final = 1000
# How long a search goes on after the client has closed its side: it may still be listening.
_DEAF_SECONDS: Final = 2.0


@command(
    "SEARCH",
    State.SELECTED,
    uid_form=True,
    tells_expunges=False,
    capabilities=("ESEARCH", "SEARCHRES", "WITHIN"),
)
@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH: RFC 9051 §6.4.4. charset: Python's name, or None for one that is not known."""

    returning: Returning
    charset: str | None
    keys: Keys
    are_uids: bool

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        returning = Returning.parse(args)
        charset: str | None = "utf-8"
        if args.follows(b"CHARSET"):
            args.atom()
            charset = CHARSETS.get(args.astring("charset").decode("ascii", "replace").upper())
        # A set among the keys is one of sequence numbers in UID SEARCH too (RFC 9051 §6.4.9).
        are_uids, args.are_uids = args.are_uids, False
        return cls(returning, charset, keys.parse(args, charset or "latin-1"), are_uids)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        view, is_complete = session.view, False
        returning = self.returning
        if session.state.is_rev2 and not returning.options:
            returning = Returning(frozenset(("ALL",)))  # RFC 9051 §6.4.4
        try:
            if self.charset is None:
                yield session.no("No such charset", "BADCHARSET (US-ASCII UTF-8)")
                return
            bounds = [await _bounds(view, numbers) for numbers in self.keys.sets]
            query = self.keys.resolve(bounds, view.recent, int(time.time()))
            if self.keys.tells_modseqs:
                for told in session.updates.enable(Extension.CONDSTORE):
                    yield told
            is_decided_here = _is_of_the_view(query)
            if is_decided_here and _asks_flags(query):
                # Where they are not at hand, storage reads less than it would have to send.
                is_decided_here = reading.are_at_hand(session, Items.FLAGS)
                if is_decided_here:
                    for news in await session.catch_up(tells_expunges=False):
                        yield news
            uids, modseqs = await _find(session, query, is_decided_here)
            is_complete = True
            if returning.saves:
                view.saved = await beside(len(uids), returning.saved, uids)
        except ProtocolError:
            is_complete = True  # BAD leaves what was saved as it was
            raise
        finally:
            if returning.saves and not is_complete:
                view.saved = ()  # RFC 5182 §2.1
        found = uids if self.are_uids else await beside(len(uids), view.numbers, uids)
        answer = await self._answer(session, returning, found, returning.modseq(modseqs))
        for response in chain(answer, await self._last(session, is_decided_here)):
            yield response

    async def _answer(
        self, session: Session, returning: Returning, found: Sequence[int], modseq: int
    ) -> Iterable[Response]:
        """What was found, in the form that was asked for."""
        if not returning.options:
            return listed(found, modseq)
        return await beside(
            len(found), extended, returning, found, session.tag, are_uids=self.are_uids, modseq=modseq
        )

    async def _last(self, session: Session, is_decided_here: bool) -> Sequence[Response]:
        """The OK, which says where what has gone is found no more, though it has its number. RFC 9051 §7.1."""
        if self.are_uids or is_decided_here:
            return [session.ok("SEARCH completed")]
        news = await session.catch_up(tells_expunges=False)
        code = "EXPUNGEISSUED" if session.view.holds_back else ""
        return [*news, session.ok("SEARCH completed", code)]


async def _bounds(view: View, numbers: Numbers) -> Runs:
    """The uids between which a set's messages lie; only those of the view are searched, so nothing else is among them.

    A number that no message has is no mistake here: a key asks which messages have it (RFC 9051 §6.4.4).
    """
    if numbers.is_saved:
        return view.saved
    if numbers.are_uids:
        return numbers.resolve(view.runs[-1][1] if view.runs else 0)
    runs = between(numbers.resolve(view.count), 1, view.count)
    found: list[Run] = []
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        found += [(view.uid(first), view.uid(last)) for first, last in runs[start : start + _RUNS_AT_ONCE]]
    return tuple(found)


def _is_of_the_view(query: Query) -> bool:
    """Whether a view with its flags decides it."""
    return all(isinstance(term, Operator | Everything | Among | Flagged) for term in query)


def _asks_flags(query: Query) -> bool:
    return any(isinstance(term, Flagged) for term in query)


async def _find(session: Session, query: Query, is_decided_here: bool) -> tuple[list[int], list[int]]:
    """All that is found, with modseqs where they are asked for. Raises LimitExceeded, ConnectionResetError."""
    uids: list[int] = []
    modseqs: list[int] = []
    loop = asyncio.get_running_loop()
    deaf_at: float | None = None
    if is_decided_here:
        parts = _find_here(session, query)
    else:
        found = session.store.search.search(session.selected.mailbox.key, session.view.runs, query)
        parts = cast("AsyncGenerator[Found, None]", found)
    try:
        async with asyncio.timeout(session.door.settings.search_seconds), aclosing(parts):
            async for part in parts:
                uids += part.uids
                modseqs += part.modseqs
                if session.connection.is_lost:
                    raise ConnectionResetError("the peer is gone")
                if session.connection.has_ended:
                    deaf_at = deaf_at or loop.time() + _DEAF_SECONDS
                    if loop.time() > deaf_at:
                        raise LimitExceeded("Nobody waits for this search")
    except TimeoutError:
        raise LimitExceeded("The search took too long") from None
    return uids, modseqs


async def _find_here(session: Session, query: Query) -> AsyncGenerator[Found, None]:
    """What the view and its flags decide."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _STEP_SECONDS
    columns = Items.FLAGS if _asks_flags(query) else Items(0)
    async for page in reading.pages(session, session.view.runs, columns):
        rows = Rows(page.uids, page.flags, keywords=page.keywords)
        known = []
        for term in query:
            known.append(None if isinstance(term, Operator) else by_columns(term, rows))
            if loop.time() > until:
                await asyncio.sleep(0)
                until = loop.time() + _STEP_SECONDS
        sure = decide(query, known, rows.all).sure
        yield Found(chosen(sure, rows.uids), (), rows.uids[-1])
