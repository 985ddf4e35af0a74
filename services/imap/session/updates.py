"""What a client is told of changes that it did not ask for, and when. RFC 9051 §7, §7.5.1.

The rule: EXPUNGE is told only where the command allows it; everything told is taken into the view at the same moment,
and nothing else changes the view. The order is EXPUNGE, EXISTS and RECENT, FETCH.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from services.imap.session.state import Extension, Selected, SessionState
from services.mail.errors import BehindFloor, MailboxNotFound
from services.mail.imap.fetch.items import FetchItems
from services.mail.imap.responses import (
    Expunges,
    FlagList,
    FlagTexts,
    Rendered,
    Response,
    Untagged,
    highest_modseq,
)
from services.mail.store import Store
from services.mail.store.mailboxes import Delta, MailboxStatus
from services.mail.store.messages import Items, Page, Stored
from services.mail.store.uids import Runs, from_masks, intersect, subtract, union

_FLAGS = FetchItems(("FLAGS",))
_UID_FLAGS = FetchItems(("UID", "FLAGS"))


class Updates:
    """The news of the selected mailbox."""

    def __init__(self, store: Store, state: SessionState) -> None:
        self._store = store
        self._state = state
        self._texts = FlagTexts(())

    def enable(self, extension: Extension) -> list[Response]:
        """Takes it on; with the first that needs modseqs, what is selected tells its own. RFC 7162 §3.1."""
        told_modseqs, self._state.enabled = self._state.tells_modseqs, self._state.enabled | extension
        if told_modseqs or not self._state.tells_modseqs or self._state.selected is None:
            return []
        return [highest_modseq(self._state.selected.view.highest_modseq)]

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
        if tells_expunges:
            if numbers := view.remove(delta.expunged):
                told.append(Expunges(numbers))
            view.expunged_to = delta.status.highest_modseq
        if delta.added:
            view.add(delta.added, delta.status.uid_next)
            view.recent = union(view.recent, await self._recent(selected, delta.added, delta.status))
            told += [Untagged(f"{view.count} EXISTS"), Untagged(f"{view.recent_count} RECENT")]
        told += self.keywords(selected, delta.keywords)
        view.flags.put(view.numbers(delta.uids), delta.flags)
        flags_to, own = view.flags_to, view.own
        fresh = [
            place for place, modseq in enumerate(delta.modseqs) if modseq > flags_to and modseq not in own
        ]
        if fresh:
            uids = [delta.uids[place] for place in fresh]
            flags = [delta.flags[place] for place in fresh]
            told.append(self.flags(selected, uids, flags, delta.keywords, with_uids=True))
        view.flags_to = delta.status.highest_modseq
        view.uid_next_told = max(view.uid_next_told, delta.status.uid_next)
        view.own = {modseq for modseq in own if modseq > view.flags_to}
        return told

    async def _recent(self, selected: Selected, added: Runs, status: MailboxStatus) -> Runs:
        """Which of the added are \\Recent; a session that may write takes them for itself. RFC 3501 §2.3.2."""
        first = status.first_recent
        if selected.is_writable:
            first = await self._store.mailboxes.claim_recent(selected.mailbox.key, status.uid_next)
        return intersect(added, ((first, status.uid_next),)) if first < status.uid_next else ()

    async def _start_over(self, selected: Selected) -> Delta:
        """The same answer where the log no longer reaches back: by comparing everything."""
        view, key = selected.view, selected.mailbox.key
        # The name may have moved to another mailbox since SELECT; the key is what this session has selected.
        listing = await self._store.mailboxes.list(key.account_id)
        name = next((each.name for each in listing.mailboxes if each.key == key), None)
        opened = await self._store.mailboxes.open(key.account_id, name, False) if name is not None else None
        if opened is None or opened.mailbox.key != key:
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
        added = intersect(live, ((view.uid_next_told, opened.status.uid_next),))
        return Delta(opened.status, added, subtract(view.runs, live), uids, flags, modseqs, opened.keywords)

    def wrote(self, selected: Selected, stored: Stored, is_told: bool = True) -> None:
        """Notes a change of flags that this session made itself.

        is_told: its answer shows the flags as they are now; else what others changed before it is still news.
        """
        view = selected.view
        view.flags.put(view.numbers(stored.uids), stored.flags)
        if stored.highest_modseq == stored.previous_modseq:
            return
        if view.expunged_to == stored.previous_modseq == view.flags_to:
            view.expunged_to = view.flags_to = stored.highest_modseq
        elif view.flags_to == stored.previous_modseq:
            view.flags_to = stored.highest_modseq
        elif is_told:
            view.own.add(stored.highest_modseq)

    def keywords(self, selected: Selected, keywords: Sequence[str]) -> list[Response]:
        """FLAGS, where there are keywords that the client was not told of. RFC 9051 §7.3.5."""
        if len(keywords) <= len(selected.view.keywords):
            return []
        selected.view.keywords = keywords
        return [FlagList(keywords, selected.is_writable)]

    def flags(
        self,
        selected: Selected,
        uids: Sequence[int],
        flags: Sequence[int],
        keywords: Sequence[str],
        with_uids: bool,
    ) -> Response:
        """FETCH with the flags of these messages, as far as the client knows them."""
        items = _UID_FLAGS if with_uids else _FLAGS
        page, numbers = self.known(selected, Page(uids, flags=flags))
        return Rendered(
            b"".join(
                part for part in items.render(page, numbers, self.texts(keywords)) if isinstance(part, bytes)
            )
        )

    def known(self, selected: Selected, page: Page) -> tuple[Page, Sequence[int]]:
        """A page with \\Recent in its flags, and the numbers of its rows; rows without a number are dropped."""
        numbers = selected.view.numbers(page.uids)
        if 0 in numbers:
            rows = [row for row, number in enumerate(numbers) if number]
            numbers = [numbers[row] for row in rows]
            page = _rows(page, rows)
        if page.flags and selected.view.recent:
            page = replace(page, flags=selected.view.with_recent(page.uids, page.flags))
        return page, numbers

    def texts(self, keywords: Sequence[str]) -> FlagTexts:
        """Rendered flags for these keywords."""
        if len(keywords) > len(self._texts.keywords):
            self._texts = FlagTexts(keywords)
        return self._texts


def _rows(page: Page, rows: Sequence[int]) -> Page:
    """The same columns with only these rows."""
    columns: dict[str, Any] = {
        column.name: [values[row] for row in rows]
        for column in fields(page)
        if column.name != "keywords" and (values := getattr(page, column.name))
    }
    return replace(page, **columns)
