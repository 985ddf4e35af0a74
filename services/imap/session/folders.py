"""What the sessions of this process share of a folder: its uids, and for a while the flags of its messages.

The rule: nothing here is ever wrong, only absent. A picture never changes. Flags belong to a picture and a modseq, and
are at least as fresh as that; who uses them has asked the store whether that modseq is the last.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from services.mail.store.mailboxes import MailboxKey
from services.mail.store.uids import Runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.imap.session.view import View

KEPT_SECONDS: Final = 60.0
# Flags of messages that are kept at a time, and octets of answers made of them.
MOST_FLAGS: Final = 1_000_000
MOST_OCTETS: Final = 32 * 1024 * 1024


class Picture:
    """Uids in runs; firsts: where each begins; before: how many messages stand before it, and at the end all."""

    __slots__ = ("__weakref__", "before", "firsts", "runs")

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.firsts = [first for first, _ in runs]
        self.before = [0, *accumulate(last - first + 1 for first, last in runs)]


class Known:
    """The flags of a folder's messages as of a modseq, and whole answers that were made of them."""

    __slots__ = ("answers", "bits", "keywords", "modseq", "picture", "size")

    def __init__(self, view: View, bits: list[int]) -> None:
        self.picture = view.picture
        self.modseq = view.flags_to
        self.keywords = view.keywords
        self.bits = bits
        self.answers: dict[tuple[str, ...], bytes] = {}
        self.size = 0

    def fits(self, view: View) -> bool:
        """Whether it is about the messages of this view, as this view has been told of them."""
        return self.modseq == view.flags_to and self.picture is view.picture


class Folders:
    """Pictures live as long as a view shows them; flags are dropped when nobody has used them for a while."""

    def __init__(self) -> None:
        self._pictures: WeakValueDictionary[tuple[MailboxKey, int], Picture] = WeakValueDictionary()
        self._known: OrderedDict[MailboxKey, tuple[float, Known]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def sharing(self, key: MailboxKey) -> Callable[[Runs], Picture]:
        """How views of this folder get their pictures."""
        return partial(self._picture, key)

    def _picture(self, key: MailboxKey, runs: Runs) -> Picture:
        place = key, hash(runs)
        picture = self._pictures.get(place)
        if picture is None or picture.runs != runs:
            picture = self._pictures[place] = Picture(runs)
        return picture

    def known(self, key: MailboxKey, view: View) -> Known | None:
        """What is known of this view's flags."""
        _, known = self._known.get(key, (0.0, None))
        if known is None or not known.fits(view):
            return None
        self._known[key] = (asyncio.get_running_loop().time(), known)
        self._known.move_to_end(key)
        return known

    def learn(self, key: MailboxKey, view: View, bits: list[int]) -> Known:
        """Keeps the flags of all messages of this view; `bits` may not change from here on."""
        known = Known(view, bits)
        self._known[key] = (asyncio.get_running_loop().time(), known)
        self._known.move_to_end(key)
        self._bound()
        return known

    def keep(self, known: Known, words: tuple[str, ...], answer: bytes) -> None:
        """Keeps the answer for these items, where it is not too large."""
        if known.size + len(answer) <= MOST_OCTETS // 8:
            known.answers[words] = answer
            known.size += len(answer)
            self._bound()

    def _bound(self) -> None:
        entries = [known for _, known in self._known.values()]
        flags, octets = sum(len(known.bits) for known in entries), sum(known.size for known in entries)
        for known in entries:
            if flags <= MOST_FLAGS and octets <= MOST_OCTETS:
                break
            flags, octets = flags - len(known.bits), octets - known.size
            self._known.popitem(last=False)
        if self._known and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._expire)

    def _expire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._known:
            at, _ = next(iter(self._known.values()))
            if at > loop.time() - KEPT_SECONDS:
                self._timer = loop.call_at(at + KEPT_SECONDS, self._expire)
                return
            self._known.popitem(last=False)
