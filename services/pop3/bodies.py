"""Messages on their way out: pages for those asked for together, streams for large ones.

Rule: at most PAGE_OCTETS of bodies are held for a session, and a large message is never held whole.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain, islice

from services.mail.errors import MessageGone
from services.mail.pop3.maildrop import Maildrop
from services.mail.pop3.replies import TopLines
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items, Messages
from services.mail.store.uids import runs_of

PAGE_OCTETS = 512 * 1024
PAGE_MESSAGES = 1000


class Bodies:
    """The octets of one maildrop's messages."""

    def __init__(self, messages: Messages, mailbox: MailboxKey, maildrop: Maildrop) -> None:
        self._messages = messages
        self._mailbox = mailbox
        self._maildrop = maildrop
        self._ahead: dict[int, bytes] = {}

    async def whole(self, number: int, upcoming: Callable[[], Iterator[int]]) -> bytes | None:
        """A message's octets, or None where it is too large to be held.

        upcoming: tells the numbers that are asked for next; a page of them is fetched along.
        Raises MessageGone.
        """
        uid = self._maildrop.uid(number)
        if self._maildrop.size(number) > INLINE_OCTETS:
            return None
        if uid not in self._ahead:
            await self._fetch(chain((number,), islice(upcoming(), PAGE_MESSAGES)))
        body = self._ahead.get(uid)
        if body is None:
            raise MessageGone
        return body

    def forget(self) -> None:
        """Lets go of what was fetched along; called when nothing more is asked for."""
        self._ahead.clear()

    async def _fetch(self, numbers: Iterable[int]) -> None:
        wanted: set[int] = set()
        octets = 0
        for number in numbers:
            if not self._maildrop.has(number):
                continue
            size = self._maildrop.size(number)
            octets += size
            if wanted and (octets > PAGE_OCTETS or size > INLINE_OCTETS):
                break
            wanted.add(self._maildrop.uid(number))
        self._ahead.clear()
        async for page in self._messages.fetch(self._mailbox, runs_of(sorted(wanted)), Items.BODY):
            self._ahead.update(
                (uid, body) for uid, body in zip(page.uids, page.bodies, strict=True) if body is not None
            )

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
