"""Messages on their way out: those asked for together come as one stream of pages, large ones each by itself.

Rule: at most two pages of bodies are held for a session, and a large message is never held whole.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from itertools import chain, islice
from typing import cast

from services.mail.errors import MessageGone
from services.mail.pop3.maildrop import Maildrop
from services.mail.pop3.replies import TopLines
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items, Messages, Page
from services.mail.store.uids import runs_of

PAGE_OCTETS = 512 * 1024
STREAM_MESSAGES = 1000


class Bodies:
    """The octets of one maildrop's messages."""

    def __init__(self, messages: Messages, mailbox: MailboxKey, maildrop: Maildrop) -> None:
        self._messages = messages
        self._mailbox = mailbox
        self._maildrop = maildrop
        self._ahead: dict[int, bytes] = {}
        self._pages: AsyncGenerator[Page, None] | None = None
        self._coming: set[int] = set()

    async def whole(self, number: int, upcoming: Callable[[], Iterator[int]]) -> bytes | None:
        """A message's octets, or None where it is too large to be held.

        upcoming: tells the numbers that are asked for next; they are asked of the store together.
        Raises MessageGone.
        """
        uid = self._maildrop.uid(number)
        if self._maildrop.size(number) > INLINE_OCTETS:
            return None
        if uid not in self._ahead and uid not in self._coming:
            await self.forget()
            self._coming = self._together(chain((number,), islice(upcoming(), STREAM_MESSAGES)))
            pages = self._messages.fetch(self._mailbox, runs_of(sorted(self._coming)), Items.BODY)
            self._pages = cast("AsyncGenerator[Page, None]", pages)
        try:
            while uid in self._coming:
                await self._turn_page()
        except Exception:
            await self.forget()
            raise
        body = self._ahead.pop(uid, None)
        if body is None:
            raise MessageGone
        return body

    async def forget(self) -> None:
        """Lets go of what was asked for along; called when nothing more is wanted."""
        self._ahead.clear()
        self._coming.clear()
        if self._pages is not None:
            pages, self._pages = self._pages, None
            await pages.aclose()

    def _together(self, numbers: Iterator[int]) -> set[int]:
        """The uids to ask for: any number while they ascend, as pages do; else no more than are held."""
        wanted: set[int] = set()
        last = octets = 0
        ascends = True
        for number in numbers:
            if not self._maildrop.has(number):
                continue
            uid, size = self._maildrop.uid(number), self._maildrop.size(number)
            ascends = ascends and uid > last
            octets += size
            if wanted and (size > INLINE_OCTETS or (octets > PAGE_OCTETS and not ascends)):
                break
            wanted.add(uid)
            last = uid
        return wanted

    async def _turn_page(self) -> None:
        assert self._pages is not None
        page = await anext(self._pages, None)
        if page is None:
            self._coming.clear()
            return
        if sum(map(len, self._ahead.values())) > PAGE_OCTETS:
            self._ahead.clear()
        self._ahead.update(
            (uid, body) for uid, body in zip(page.uids, page.bodies, strict=True) if body is not None
        )
        self._coming = {uid for uid in self._coming if uid > page.uids[-1]}

    def stream(self, number: int) -> AsyncIterator[bytes]:
        """A message in chunks. Raises MessageGone."""
        return self._messages.read(self._mailbox, self._maildrop.uid(number), 0, self._maildrop.size(number))

    async def top(self, number: int, lines: int) -> AsyncIterator[bytes]:
        """The header, the empty line and so many lines of the body, in chunks. Raises MessageGone."""
        uid = self._maildrop.uid(number)
        is_small = self._maildrop.size(number) <= INLINE_OCTETS
        items = Items.HEADER | Items.BODY if is_small and lines else Items.HEADER
        header: bytes | None = None
        body: bytes | None = None
        async for page in self._messages.fetch(self._mailbox, ((uid, uid),), items):
            header = page.headers[0]
            body = page.bodies[0] if page.bodies else None
        if header is None:
            raise MessageGone
        cut = TopLines(len(header), lines)
        if lines == 0:
            yield header
        elif body is not None:
            yield cut.feed(body)
        else:
            async for chunk in self.stream(number):
                yield cut.feed(chunk)
                if cut.is_complete:
                    return
