"""A page of messages as answers: small ones together, large ones piece by piece.

The rule: once a literal's size is written, that many octets follow, or the connection ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from services.mail.errors import MailError
from services.mail.imap.fetch.binary import Binary, UnknownEncoding
from services.mail.imap.fetch.items import FetchItems
from services.mail.imap.fetch.sections import Extent
from services.mail.imap.responses import Rendered, Response
from services.mail.mime.transfer import Undoing
from services.mail.store.messages import Page

if TYPE_CHECKING:
    from services.imap.conversation import Session

JOINED: Final = 64 * 1024


async def render(session: Session, items: FetchItems, page: Page) -> AsyncIterator[Response]:
    """The answers for a page, as far as the client knows its messages. Raises UnknownEncoding, Ended."""
    page, numbers = session.updates.known(session.selected, page)
    gathered: list[bytes] = []
    size = 0
    pieces = items.render(page, numbers, session.updates.texts(page.keywords))
    while True:
        try:
            piece = next(pieces, None)
        except UnknownEncoding:
            yield Rendered(b"".join(gathered))
            raise
        if isinstance(piece, bytes):
            gathered.append(piece)
            size += len(piece)
            if size < JOINED:
                continue
        if gathered:
            yield Rendered(b"".join(gathered))
            gathered, size = [], 0
        if piece is None:
            return
        if isinstance(piece, Extent):
            async for octets in _literal(session, piece):
                yield Rendered(octets)


async def _literal(session: Session, extent: Extent) -> AsyncIterator[bytes]:
    """What an extent stands for: the rest of a literal whose size was told, or that with its size."""
    section = extent.section
    try:
        if isinstance(section, Binary):
            async for octets in _decoded(session, extent, section):
                yield octets
            return
        if section is not None:
            header = section.cut(b"".join([octets async for octets in _octets(session, extent)]))
            yield b"{%d}\r\n%b" % (len(header), header)
            return
        left = extent.end - extent.start
        async for octets in _octets(session, extent):
            left -= len(octets)
            yield octets
    except MailError as error:
        session.break_off(f"a literal could not be filled: {error.text}")
    if left:
        session.break_off("a literal could not be filled")


def _octets(session: Session, extent: Extent) -> AsyncIterator[bytes]:
    return session.store.messages.read(session.selected.mailbox.key, extent.uid, extent.start, extent.end)


async def _decoded(session: Session, extent: Extent, section: Binary) -> AsyncIterator[bytes]:
    """A large part without its encoding: read once for its size, and once more for its octets."""
    size = 0
    async for octets in _undone(session, extent):
        size += len(octets)
    if section.is_size:
        yield b"%d" % size
        return
    first, count = section.partial or (0, size)
    last = min(first + count, size)
    left = max(last - first, 0)
    yield b"~{%d}\r\n" % left
    place = 0
    async for octets in _undone(session, extent):
        piece = octets[max(first - place, 0) : max(last - place, 0)]
        place += len(octets)
        left -= len(piece)
        if piece:
            yield piece
        if not left:
            return
    if left:
        session.break_off("a literal could not be filled")


async def _undone(session: Session, extent: Extent) -> AsyncIterator[bytes]:
    undoing = Undoing(extent.encoding)
    async for octets in _octets(session, extent):
        yield undoing.feed(octets)
    yield undoing.finish()
