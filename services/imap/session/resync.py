"""What changed since a modseq, among the messages that a client names. RFC 7162 §3.1.4.1, §3.2.5, §3.2.6.

The rule: the log answers as far as it reaches; below its floor, what is not there any more counts as gone, and flags
are compared one by one. Nothing is told as gone that the view still shows: that is news, and told as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from services.imap.session.view import View
from services.mail.errors import BehindFloor, MailboxNotFound
from services.mail.store import Store
from services.mail.store.mailboxes import Delta, MailboxKey, Opened
from services.mail.store.messages import Items, Page
from services.mail.store.uids import Runs, between, intersect, subtract
from services.plumbing.turns import beside


@dataclass(frozen=True, slots=True)
class Changed:
    """vanished: uids that are no longer there. page: what lives and changed, with its flags and modseqs."""

    vanished: Runs
    page: Page


async def changed_since(store: Store, key: MailboxKey, view: View, modseq: int, known: Runs) -> Changed:
    """What changed after `modseq` among the `known` uids; only messages of the view are in the page.

    Raises MailboxNotFound.
    """
    known = between(known, 1, view.uid_next_told - 1)
    try:
        delta = await store.mailboxes.sync(key, modseq, view.uid_next_told)
    except BehindFloor:
        return Changed(subtract(known, view.runs), await _compared(store, key, view, modseq, known))
    size = len(delta.uids) + len(delta.expunged) + len(known)
    return await beside(size, _changed, delta, known, view.runs)


def _changed(delta: Delta, known: Runs, runs: Runs) -> Changed:
    page = Page(delta.uids, flags=delta.flags, modseqs=delta.modseqs, keywords=delta.keywords)
    gone = subtract(intersect(delta.expunged, known), runs)
    return Changed(gone, rows_of(page, intersect(known, runs)))


async def reopened(store: Store, key: MailboxKey) -> Opened | None:
    """The mailbox of this key as it is now, whatever its name is by now; None where it is gone."""
    while True:
        listing = await store.mailboxes.list(key.account_id)
        name = next((each.name for each in listing.mailboxes if each.key == key), None)
        if name is None:
            return None
        with suppress(MailboxNotFound):  # renamed since, as below
            opened = await store.mailboxes.open(key.account_id, name, False)
            if opened.mailbox.key == key:
                return opened


async def _compared(store: Store, key: MailboxKey, view: View, modseq: int, known: Runs) -> Page:
    uids: list[int] = []
    flags: list[int] = []
    modseqs: list[int] = []
    keywords: Sequence[str] = ()
    async for page in store.messages.fetch(key, intersect(known, view.runs), Items.FLAGS | Items.MODSEQ):
        keywords = page.keywords
        for row in zip(page.uids, page.flags, page.modseqs, strict=True):
            if row[2] > modseq:
                uids.append(row[0])
                flags.append(row[1])
                modseqs.append(row[2])
    return Page(uids, flags=flags, modseqs=modseqs, keywords=keywords)


def rows_of(page: Page, wanted: Runs) -> Page:
    """The rows of these uids; flags and modseqs are all that the page has."""
    if len(wanted) == 1 and page.uids and wanted[0][0] <= page.uids[0] and page.uids[-1] <= wanted[0][1]:
        return page
    place, rows = 0, list[int]()
    for row, uid in enumerate(page.uids):
        while place < len(wanted) and wanted[place][1] < uid:
            place += 1
        if place < len(wanted) and wanted[place][0] <= uid:
            rows.append(row)
    return Page(
        [page.uids[row] for row in rows],
        flags=[page.flags[row] for row in rows],
        modseqs=[page.modseqs[row] for row in rows],
        keywords=page.keywords,
    )
