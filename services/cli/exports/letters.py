"""The messages of a mailbox as an export reads them.

The rule: octets are asked for only where a file has none yet; a large message is never held whole.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from services.mail.store import Store
from services.mail.store.flags import flag_names
from services.mail.store.imports import MAX_UNIQUE_IDS
from services.mail.store.mailboxes import INBOX, Opened
from services.mail.store.messages import Items
from services.mail.store.uids import from_masks, runs_of

# Uids of one request for octets.
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it is kept. internal_at: seconds since 1970."""

    uid: int
    flags: Sequence[str]
    internal_at: int
    size: int


class Mail:
    """One mailbox, as it was when it was opened."""

    def __init__(self, store: Store, opened: Opened) -> None:
        self._store = store
        self._key = opened.mailbox.key
        self.opened = opened

    async def listed(self) -> list[Kept]:
        """All messages by uid."""
        found: list[Kept] = []
        uids = from_masks(self.opened.blocks, self.opened.masks)
        items = Items.FLAGS | Items.INTERNALDATE | Items.SIZE
        if uids:
            async for page in self._store.messages.fetch(self._key, uids, items):
                rows = zip(page.uids, page.flags, page.internal_at, page.sizes, strict=True)
                found += [
                    Kept(uid, flag_names(flags, page.keywords), at, size) for uid, flags, at, size in rows
                ]
        return found

    async def octets(self, wanted: Sequence[Kept]) -> AsyncIterator[tuple[Kept, AsyncIterator[bytes]]]:
        """Each with its octets in chunks, which are read before the next is asked for; what is gone is left out."""
        for start in range(0, len(wanted), _AT_ONCE):
            some = {each.uid: each for each in wanted[start : start + _AT_ONCE]}
            async for page in self._store.messages.fetch(self._key, runs_of(some), Items.BODY):
                for uid, body in zip(page.uids, page.bodies, strict=True):
                    kept = some[uid]
                    yield (
                        kept,
                        (
                            self._store.messages.read(self._key, uid, 0, kept.size)
                            if body is None
                            else _one(body)
                        ),
                    )

    async def unique_ids(self) -> dict[int, str]:
        """What POP3 tells of the messages of INBOX, where that is not of our own making."""
        found: dict[int, str] = {}
        last_uid, is_over = 0, self.opened.mailbox.name != INBOX
        while not is_over:
            kept = await self._store.imports.unique_ids(self._key, last_uid)
            found |= {each.uid: each.unique_id for each in kept}
            last_uid = kept[-1].uid if kept else 0
            is_over = len(kept) < MAX_UNIQUE_IDS
        return found


async def _one(octets: bytes) -> AsyncIterator[bytes]:
    yield octets
