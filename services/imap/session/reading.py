"""Where a command's rows come from: the view alone, its flags, or the store.

The rule: flags are answered from memory only after the store was asked whether anything has changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from services.imap.session.flags import UNKNOWN
from services.mail.store.messages import Items, Page
from services.mail.store.uids import Runs, runs_of

if TYPE_CHECKING:
    from services.imap.conversation import Session


def are_at_hand(session: Session, columns: Items) -> bool:
    """Whether these columns need no rows of the store, once `Session.catch_up` has told the news."""
    return columns == Items.FLAGS and session.view.flags.are_loaded


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
