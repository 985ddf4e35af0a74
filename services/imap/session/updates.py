"""What a client is told of changes that it did not ask for, and when. RFC 9051 §7, §7.5.1; RFC 7162 §3.2.

The rule: EXPUNGE (or VANISHED) is told only where the command allows it; everything told is taken into the view at the
same moment, and nothing else changes the view. The order is EXPUNGE, EXISTS and RECENT, FETCH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from services.imap.session.resync import reopened
from services.imap.session.state import Extension, Selected, SessionState
from services.imap.session.view import PAGE, View
from services.mail.errors import BehindFloor, MailboxNotFound
from services.mail.imap.fetch.items import FetchItems
from services.mail.imap.responses import (
    Expunges,
    FlagList,
    FlagTexts,
    Later,
    Response,
    Untagged,
    highest_modseq,
)
from services.mail.imap.resync import Vanished
from services.mail.store import Store
from services.mail.store.mailboxes import Delta, MailboxStatus
from services.mail.store.messages import Items, Page, Stored
from services.mail.store.uids import Runs, between, from_masks, intersect, subtract, union
from services.plumbing.turns import beside


class Updates:
    """The news of the selected mailbox."""

    def __init__(self, store: Store, state: SessionState) -> None:
        self._store = store
        self._state = state
        self._texts = FlagTexts(())
        self._modseq_told = 0

    def enable(self, extension: Extension) -> list[Response]:
        """Takes it on; with the first that needs modseqs, what is selected tells its own. RFC 7162 §3.1."""
        told_modseqs, self._state.enabled = self._state.tells_modseqs, self._state.enabled | extension
        if told_modseqs or not self._state.tells_modseqs or self._state.selected is None:
            return []
        return [highest_modseq(self._state.selected.view.highest_modseq)]

    def rest(self) -> None:
        """Gives up what only saves time, while the client does nothing."""
        self._texts = FlagTexts(self._texts.keywords)
        if self._state.selected is not None:
            self._state.selected.view.flags.drop()

    async def catch_up(self, selected: Selected, tells_expunges: bool) -> list[Response]:
        """What happened since the client was last told, as far as it may be told now.

        Raises MailboxNotFound where the mailbox was deleted.
        """
        view, key = selected.view, selected.mailbox.key
        modseq = await self._store.mailboxes.highest_modseq(key)
        if modseq == (view.highest_modseq if tells_expunges else view.flags_to):
            return []
        since = view.highest_modseq if tells_expunges else view.flags_to
        try:
            delta = await self._store.mailboxes.sync(key, since, view.uid_next_told)
        except BehindFloor:
            delta = await self._start_over(selected)
        return await self._tell(selected, delta, tells_expunges)

    async def _tell(self, selected: Selected, delta: Delta, tells_expunges: bool) -> list[Response]:
        view = selected.view
        told: list[Response] = []
        recent = await self._recent(selected, delta.added, delta.status) if delta.added else ()
        gone = intersect(view.runs, delta.expunged)
        holds_back = not tells_expunges and (bool(gone) or view.holds_back)
        recents = view.recent_count
        if gone and not holds_back:
            told.append(Vanished(gone) if self._state.tells_vanished else Expunges(view.leaving(gone)))
            view.remove(gone)
        view.add(delta.added, delta.status.uid_next)
        if not holds_back:
            view.tell_expunged(delta.status.highest_modseq)
        if delta.added:
            view.recent = union(view.recent, recent)
            told += self.exists(view)
        elif view.recent_count != recents and not self._state.is_rev2:
            # RFC 3501 §7.3.2: when the size of the mailbox changes; what EXPUNGE lowers is EXISTS alone.
            told.append(Untagged(f"{view.recent_count} RECENT"))
        told += self.keywords(selected, delta.keywords)
        await self._note(view, delta.uids, delta.flags)
        own = view.own
        fresh = await beside(len(delta.uids), _fresh, delta, view.flags_to, own)
        told += self.fetched(selected, fresh, delta.keywords, with_uids=True)
        view.flags_to = delta.status.highest_modseq
        view.own = frozenset(modseq for modseq in own if modseq > view.flags_to)
        return told

    async def _recent(self, selected: Selected, added: Runs, status: MailboxStatus) -> Runs:
        """Which of the added are \\Recent; a session that may write takes them for itself. RFC 3501 §2.3.2."""
        first = status.first_recent
        if selected.is_writable:
            first = await self._store.mailboxes.claim_recent(selected.mailbox.key, status.uid_next)
        return between(added, first, status.uid_next) if first < status.uid_next else ()

    async def _start_over(self, selected: Selected) -> Delta:
        """The same answer where the log no longer reaches back: by comparing everything."""
        view, key = selected.view, selected.mailbox.key
        opened = await reopened(self._store, key)
        if opened is None:
            raise MailboxNotFound
        live = from_masks(opened.blocks, opened.masks)
        known = intersect(live, view.runs)
        uids: list[int] = []
        flags: list[int] = []
        modseqs: list[int] = []
        async for page in self._store.messages.fetch(key, known, Items.FLAGS | Items.MODSEQ):
            uids += page.uids
            flags += page.flags
            modseqs += page.modseqs
        added = between(live, view.uid_next_told, opened.status.uid_next)
        return Delta(opened.status, added, subtract(view.runs, live), uids, flags, modseqs, opened.keywords)

    async def _note(self, view: View, uids: Sequence[int], flags: Sequence[int]) -> None:
        """Remembers flags, where those of others are remembered."""
        if view.flags.are_loaded:
            await beside(len(uids), lambda: view.flags.put(view.numbers(uids), flags))

    async def wrote(self, selected: Selected, stored: Stored, is_told: bool = True) -> None:
        """Notes a change of flags that this session made itself.

        is_told: its answer shows the flags as they are now; else what others changed before it is still news.
        """
        view = selected.view
        await self._note(view, stored.uids, stored.flags)
        if stored.highest_modseq == stored.previous_modseq:
            return
        if view.expunged_to == stored.previous_modseq == view.flags_to:
            view.tell_expunged(stored.highest_modseq)
            view.flags_to = stored.highest_modseq
        elif view.flags_to == stored.previous_modseq:
            view.flags_to = stored.highest_modseq
        elif is_told:
            view.own |= {stored.highest_modseq}

    def keywords(self, selected: Selected, keywords: Sequence[str]) -> list[Response]:
        """FLAGS, where there are keywords that the client was not told of. RFC 9051 §7.3.5."""
        if len(keywords) <= len(selected.view.keywords):
            return []
        selected.view.keywords = keywords
        return [FlagList(keywords, selected.is_writable)]

    def exists(self, view: View) -> list[Response]:
        """How many messages there are; RECENT is not of IMAP4rev2. RFC 9051 §7.4.1, appendix E."""
        told: list[Response] = [Untagged(f"{view.count} EXISTS")]
        if not self._state.is_rev2:
            told.append(Untagged(f"{view.recent_count} RECENT"))
        return told

    def unasked(self, items: FetchItems, with_uids: bool) -> FetchItems:
        """These items, in an answer that was not asked for by FETCH. RFC 7162 §3.2.4."""
        if self._state.tells_modseqs:
            return items.including("UID", "MODSEQ")
        return items.including("UID") if with_uids or self._state.is_rev2 else items

    def fetched(
        self,
        selected: Selected,
        page: Page,
        keywords: Sequence[str],
        with_uids: bool,
        words: tuple[str, ...] = ("FLAGS",),
    ) -> list[Response]:
        """FETCH that was not asked for by FETCH, with the flags of these messages as the client knows them.

        Each answer is rendered when its turn comes: there may be as many as messages.
        """
        items = self.unasked(FetchItems(words), with_uids)

        def render(start: int) -> bytes:
            part, numbers = self.known(selected, page.between(start, start + PAGE))
            self.told(items, part)
            rows = items.render(part, numbers, self.texts(keywords))
            return b"".join(row for row in rows if isinstance(row, bytes))

        return [Later(partial(render, start)) for start in range(0, len(page.uids), PAGE)]

    def told(self, items: FetchItems, page: Page) -> None:
        """Notes the modseqs that this page tells the client."""
        if "MODSEQ" in items.words and page.modseqs:
            self._modseq_told = max((self._modseq_told, *page.modseqs))

    def reached(self, view: View) -> str:
        """How far all has been told, for the tagged answer of what expunged something. RFC 7162 §3.2.7."""
        return f"HIGHESTMODSEQ {view.highest_modseq}" if self._state.tells_vanished else ""

    def held_back(self, view: View) -> list[Response]:
        """HIGHESTMODSEQ, where a modseq was told that is above what was told of expunges. RFC 7162 §6.

        It goes in front of each tagged answer; else the client would count itself informed up to that modseq.
        """
        modseq, self._modseq_told = self._modseq_told, 0
        return [highest_modseq(view.highest_modseq)] if modseq > view.highest_modseq else []

    def known(self, selected: Selected, page: Page) -> tuple[Page, Sequence[int]]:
        """A page with \\Recent in its flags, and the numbers of its rows; rows without a number are dropped."""
        numbers = selected.view.numbers(page.uids)
        if 0 in numbers:
            rows = [row for row, number in enumerate(numbers) if number]
            numbers = [numbers[row] for row in rows]
            page = _rows(page, rows)
        if page.flags and selected.view.recent and not self._state.is_rev2:
            page = replace(page, flags=selected.view.with_recent(page.uids, page.flags))
        return page, numbers

    def texts(self, keywords: Sequence[str]) -> FlagTexts:
        """Rendered flags for these keywords."""
        if len(keywords) > len(self._texts.keywords):
            self._texts = FlagTexts(keywords)
        return self._texts


def _fresh(delta: Delta, flags_to: int, own: frozenset[int]) -> Page:
    """What is news of the flags."""
    fresh = [place for place, modseq in enumerate(delta.modseqs) if modseq > flags_to and modseq not in own]
    return Page(
        [delta.uids[place] for place in fresh],
        flags=[delta.flags[place] for place in fresh],
        modseqs=[delta.modseqs[place] for place in fresh],
    )


def _rows(page: Page, rows: Sequence[int]) -> Page:
    """The same columns with only these rows."""
    columns: dict[str, Any] = {
        column.name: [values[row] for row in rows]
        for column in fields(page)
        if column.name != "keywords" and (values := getattr(page, column.name))
    }
    return replace(page, **columns)
