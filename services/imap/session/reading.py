"""Where a command's rows come from: the view alone, its flags, or the store.

The rule: flags are answered from memory only after the store was asked whether anything has changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from services.imap.session.flags import UNKNOWN
from services.mail.imap.fetch.items import FetchItems
from services.mail.store.messages import Items, Page
from services.mail.store.uids import Runs, each, runs_of

if TYPE_CHECKING:
    from services.imap.conversation import Session


# Rows of an answer that is kept whole: some milliseconds to write.
WHOLE_ROWS: Final = 50_000


def are_at_hand(session: Session, columns: Items) -> bool:
    """Whether these columns need no rows of the store, once `Session.catch_up` has told the news.

    What another session of this folder knows as of the same moment, this one knows too.
    """
    if columns != Items.FLAGS:
        return False
    view = session.view
    if not view.flags.are_loaded:
        known = session.door.folders.known(session.selected.mailbox.key, view)
        if known is not None:
            view.flags.load(known.bits)
    return view.flags.are_loaded


def whole(session: Session, uids: Runs, items: FetchItems) -> bytes | None:
    """The answer to a FETCH of uids and flags of everything, where all is at hand; else None.

    It is written once for all sessions that have been told the same.
    """
    view, key = session.view, session.selected.mailbox.key
    shows_recent = bool(view.recent) and not session.state.is_rev2
    if items.columns != Items.FLAGS or items.sections or uids != view.runs or shows_recent:
        return None
    bits = view.flags.share()
    if bits is None or not 0 < len(bits) <= WHOLE_ROWS:
        return None
    known = session.door.folders.known(key, view) or session.door.folders.learn(key, view, bits)
    if len(known.keywords) > len(view.keywords):
        return None
    answer = known.answers.get(items.words)
    if answer is None:
        page = Page(list(each(uids)), flags=known.bits)
        rows = items.render(page, range(1, len(bits) + 1), session.updates.texts(known.keywords))
        answer = b"".join(row for row in rows if isinstance(row, bytes))
        session.door.folders.keep(known, items.words, answer)
    return answer


async def pages(session: Session, uids: Runs, columns: Items) -> AsyncIterator[Page]:
    """These messages by the page; those that are gone are left out. Raises MailboxNotFound."""
    if not columns:
        for page in session.view.pages(uids):
            yield page
    elif are_at_hand(session, columns):
        async for page in _remembered(session, uids):
            yield page
    else:
        async for page in _read(session, uids, columns):
            yield page


async def _read(session: Session, uids: Runs, columns: Items) -> AsyncIterator[Page]:
    """From the store; where all flags pass by, they are remembered, unless the command writes some in between."""
    view, bits = session.view, list[int]()
    mark = view.flags_to, len(view.own)
    is_everything = Items.FLAGS in columns and uids == view.runs
    async for page in session.store.messages.fetch(session.selected.mailbox.key, uids, columns):
        if is_everything:
            bits += page.flags
        yield page
    is_whole = is_everything and len(bits) == view.count and mark == (view.flags_to, len(view.own))
    if is_whole and not view.flags.are_loaded:
        view.flags.load(bits)
        session.door.folders.learn(session.selected.mailbox.key, view, bits)


async def _remembered(session: Session, uids: Runs) -> AsyncIterator[Page]:
    """From the view's flags; only those of new messages are asked for."""
    view = session.view
    for page in view.pages(uids):
        numbers = view.numbers(page.uids)
        flags = view.flags.of(numbers)
        if UNKNOWN in flags:
            missing = runs_of(uid for uid, bits in zip(page.uids, flags, strict=True) if bits == UNKNOWN)
            keywords = view.keywords
            async for found in session.store.messages.fetch(
                session.selected.mailbox.key, missing, Items.FLAGS
            ):
                view.flags.put(view.numbers(found.uids), found.flags)
                keywords = found.keywords
            known = [row for row in zip(page.uids, view.flags.of(numbers), strict=True) if row[1] != UNKNOWN]
            yield Page([uid for uid, _ in known], flags=[bits for _, bits in known], keywords=keywords)
        else:
            yield Page(page.uids, flags=flags, keywords=view.keywords)
