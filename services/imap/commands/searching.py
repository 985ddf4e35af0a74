"""SEARCH: RFC 9051 §6.4.4."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Final, Self

from services.imap.registry import command
from services.imap.session import reading
from services.imap.session.state import State
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Rendered, Response
from services.mail.imap.search import keys
from services.mail.imap.search.keys import Context, Key, Row, Test
from services.mail.store.messages import Page

if TYPE_CHECKING:
    from services.imap.conversation import Session

# Keys times messages that are tested before other sessions have their turn: some milliseconds.
_TESTS_AT_ONCE: Final = 20_000


@command("SEARCH", State.SELECTED, uid_form=True, tells_expunges=False)
@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH: RFC 3501 §6.4.4."""

    charset: str
    key: Key
    are_uids: bool

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        charset = "US-ASCII"
        if args.follows(b"CHARSET"):
            args.atom()
            charset = args.astring("charset").decode("ascii", "replace").upper()
        # A set among the keys is one of sequence numbers in UID SEARCH too (RFC 9051 §6.4.9).
        are_uids, args.are_uids = args.are_uids, False
        return cls(charset, keys.parse(args), are_uids)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if self.charset not in ("US-ASCII", "UTF-8"):
            yield session.no("No such charset", "BADCHARSET (US-ASCII UTF-8)")
            return
        view, found = session.view, []
        if reading.are_at_hand(session, self.key.columns):
            for news in await session.catch_up(tells_expunges=False):
                yield news
        test: Test | None = None
        tested = 0
        async for page in reading.pages(session, view.runs, self.key.columns):
            if test is None or len(page.keywords) > len(view.keywords):
                test = self.key.compile(Context(view.uids, tuple(page.keywords)))
            known, numbers = session.updates.known(session.selected, page)
            for row, number in zip(_rows(known), numbers, strict=True):
                if test(row):
                    found.append(row.uid if self.are_uids else number)
                tested += self.key.size
                if tested >= _TESTS_AT_ONCE:
                    tested = 0
                    await asyncio.sleep(0)
        if test is None:  # an empty mailbox: the numbers in the keys are checked all the same
            self.key.compile(Context(view.uids, tuple(view.keywords)))
        yield Rendered("".join(("* SEARCH", *map(" {}".format, found), "\r\n")).encode("ascii"))
        yield session.ok("SEARCH completed")


def _rows(page: Page) -> map[Row]:
    nothing = repeat(0)
    return map(Row, page.uids, page.flags or nothing, page.internal_at or nothing, page.sizes or nothing)
