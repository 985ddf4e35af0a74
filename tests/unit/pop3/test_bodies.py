"""What is asked of the store for RETR, and what is held meanwhile."""

import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from services.mail.errors import MessageGone, StoreUnavailable
from services.mail.pop3.maildrop import Maildrop
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS, Items, Messages, Page
from services.mail.store.uids import Runs
from services.pop3.bodies import PAGE_OCTETS, Bodies

COUNT = 400
SIZE = 10_000
ROWS = 20


def body_of(uid: int) -> bytes:
    return b"%07d" % uid + b"x" * (SIZE - 7)


@dataclass
class Shelf:
    """Messages 1 to COUNT in pages of ROWS; every page that is taken is counted."""

    gone: set[int] = field(default_factory=set)
    fetches: int = 0
    pages: int = 0
    breaks_at: int = -1

    async def fetch(self, _mailbox: MailboxKey, uids: Runs, _items: Items) -> AsyncIterator[Page]:
        self.fetches += 1
        wanted = [uid for first, last in uids for uid in range(first, last + 1) if uid not in self.gone]
        for start in range(0, len(wanted), ROWS):
            self.pages += 1
            if self.pages == self.breaks_at:
                raise StoreUnavailable
            rows = wanted[start : start + ROWS]
            yield Page(rows, bodies=[body_of(uid) for uid in rows])


def bodies_of(shelf: Shelf, sizes: dict[int, int] | None = None) -> Bodies:
    maildrop = Maildrop(1)
    maildrop.add(range(1, COUNT + 1), [(sizes or {}).get(uid, SIZE) for uid in range(1, COUNT + 1)])
    return Bodies(cast("Messages", shelf), MailboxKey(1, 1), maildrop)


def held(bodies: Bodies) -> int:
    return sum(map(len, bodies._ahead.values()))


async def read(bodies: Bodies, numbers: list[int]) -> int:
    """Reads all of these, of which the rest waits in line each time; answers the most octets that were held."""
    most = 0
    for place, number in enumerate(numbers):

        def upcoming(place: int = place) -> Iterator[int]:
            return iter(numbers[place + 1 :])

        assert await bodies.whole(number, upcoming) == body_of(number)
        most = max(most, held(bodies))
    return most


async def test_numbers_that_ascend_are_one_stream() -> None:
    """Of which no more than a page is held."""
    shelf = Shelf()
    assert await read(bodies_of(shelf), [*range(1, COUNT + 1)]) <= ROWS * SIZE
    assert (shelf.fetches, shelf.pages) == (1, COUNT // ROWS)


@pytest.mark.parametrize("order", ["descending", "shuffled", "each twice", "first again and again"])
async def test_any_order_is_answered_and_little_is_held(order: str) -> None:
    """Each message as it is, however clients ask; no more requests than pages of PAGE_OCTETS would need, and some."""
    numbers = {
        "descending": [*range(COUNT, 0, -1)],
        "shuffled": random.Random(7).sample(range(1, COUNT + 1), COUNT),
        "each twice": [number for number in range(1, COUNT + 1) for _ in range(2)],
        "first again and again": [1, 2, 1, 3, 1, 4, 1],
    }[order]
    shelf = Shelf()
    assert await read(bodies_of(shelf), numbers) <= PAGE_OCTETS + ROWS * SIZE
    if order in {"descending", "shuffled"}:
        assert shelf.fetches <= 2 * COUNT * SIZE // PAGE_OCTETS


async def test_a_message_that_went_meanwhile_is_gone_and_the_next_ones_are_not() -> None:
    """RFC 1939 §5: a number names the same message to the end; one expunged elsewhere is refused."""
    shelf = Shelf(gone={2, COUNT})
    bodies = bodies_of(shelf)
    assert await bodies.whole(1, lambda: iter(range(2, COUNT + 1))) == body_of(1)
    for number in (2, 2, COUNT):
        with pytest.raises(MessageGone):
            await bodies.whole(number, lambda: iter(()))
    assert await bodies.whole(3, lambda: iter(())) == body_of(3)


async def test_what_breaks_off_is_asked_for_again() -> None:
    """A store that could not answer may do so the next time; nothing is taken for gone."""
    shelf = Shelf(breaks_at=2)
    bodies = bodies_of(shelf)
    numbers = range(2, COUNT + 1)
    assert await bodies.whole(1, lambda: iter(numbers)) == body_of(1)
    with pytest.raises(StoreUnavailable):
        await bodies.whole(ROWS + 1, lambda: iter(()))
    assert await read(bodies, [ROWS + 1, ROWS + 2, 5]) <= ROWS * SIZE


async def test_large_messages_are_not_among_those_asked_for_together() -> None:
    """They are streamed by themselves."""
    shelf = Shelf()
    bodies = bodies_of(shelf, {3: INLINE_OCTETS + 1})
    assert await bodies.whole(3, lambda: iter(())) is None
    assert await bodies.whole(1, lambda: iter(range(2, COUNT + 1))) == body_of(1)
    assert bodies._ahead.keys() | bodies._coming == {2}


async def test_forgetting_closes_the_stream() -> None:
    """A session that waits for its client holds nothing."""
    shelf = Shelf()
    bodies = bodies_of(shelf)
    await bodies.whole(1, lambda: iter(range(2, COUNT + 1)))
    assert held(bodies)
    await bodies.forget()
    assert (held(bodies), bodies._coming, bodies._pages) == (0, set(), None)
    await read(bodies, [2])
    assert (shelf.fetches, shelf.pages) == (2, 2)
