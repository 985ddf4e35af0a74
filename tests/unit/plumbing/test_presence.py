"""Sessions written behind; the store is in memory."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from services.mail.errors import StoreUnavailable
from services.mail.store.sessions import LEASE_SECONDS, Process, Session
from services.plumbing.presence import Presence
from tests.fakes.memory import MemoryStore


class Counted:
    """The store's sessions; `beats` has what each beat brought, `is_away` fails them."""

    def __init__(self, store: MemoryStore) -> None:
        self._inner = store.sessions
        self.beats: list[tuple[int, int]] = []
        self.is_away = False
        self.happened = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def beat(
        self, process: Process, opened: Sequence[Session], closed: Sequence[UUID]
    ) -> Sequence[UUID]:
        self.happened.set()
        if self.is_away:
            raise StoreUnavailable
        self.beats.append((len(opened), len(closed)))
        return await self._inner.beat(process, opened, closed)


def started(sessions: Counted, **seconds: float) -> Presence:
    return Presence(sessions, "imap", "127.0.0.1:9", **seconds)  # type: ignore[arg-type]


def nothing() -> None:
    """Ends nothing."""


async def test_what_many_sessions_became_leaves_in_one_beat() -> None:
    store = MemoryStore()
    sessions = Counted(store)
    here = started(sessions)
    ids = [here.opened(number, "192.0.2.1", nothing) for number in range(1, 101)]
    here.moved(ids[6], 3, 41)
    here.moved(ids[6], 3, 42)
    await here.beat()
    assert sessions.beats == [(100, 0)]
    listed = {session.session_id: session for session in await store.sessions.list()}
    assert listed.keys() == set(ids)
    assert (listed[ids[6]].mailbox_id, listed[ids[6]].expunged_to) == (3, 42)
    here.moved(ids[6], 3, 42)
    await here.beat()
    assert sessions.beats[1:] == [(0, 0)]


async def test_a_session_that_is_over_before_it_was_written_is_never_written() -> None:
    store = MemoryStore()
    sessions = Counted(store)
    here = started(sessions)
    here.closed(here.opened(1, "192.0.2.1", nothing))
    kept = here.opened(1, "192.0.2.1", nothing)
    await here.beat()
    here.closed(kept)
    await here.beat()
    assert sessions.beats == [(1, 0), (0, 1)]
    assert await store.sessions.list() == []


async def test_what_a_beat_could_not_bring_comes_with_the_next() -> None:
    store = MemoryStore()
    sessions = Counted(store)
    here = started(sessions)
    gone, kept = here.opened(1, "192.0.2.1", nothing), here.opened(2, "192.0.2.1", nothing)
    await here.beat()
    sessions.is_away = True
    here.closed(gone)
    here.moved(kept, 5, 50)
    fresh = here.opened(3, "192.0.2.1", nothing)
    await here.beat()
    here.moved(kept, 5, 51)
    sessions.is_away = False
    await here.beat()
    listed = {session.session_id: session.expunged_to for session in await store.sessions.list()}
    assert listed == {kept: 51, fresh: 0}


async def test_after_a_long_silence_all_sessions_are_written_again() -> None:
    now = [0.0]
    store = MemoryStore(clock=lambda: 1_000_000 + now[0])
    here = Presence(store.sessions, "imap", "", clock=lambda: now[0])
    session_id = here.opened(1, "192.0.2.1", nothing)
    await here.beat()
    now[0] += LEASE_SECONDS + 1
    assert await store.sessions.list() == []
    await here.beat()
    assert [session.session_id for session in await store.sessions.list()] == [session_id]


async def test_a_session_that_is_asked_to_end_is_told_once() -> None:
    store = MemoryStore()
    here = started(Counted(store))
    told: list[int] = []
    session_id = here.opened(1, "192.0.2.1", lambda: told.append(1))
    here.opened(1, "192.0.2.1", lambda: told.append(2))
    await here.beat()
    assert await store.sessions.end(session_id)
    await here.beat()
    await here.beat()
    assert told == [1]


async def test_many_sessions_are_written_by_the_thousand() -> None:
    sessions = Counted(MemoryStore())
    here = started(sessions)
    for number in range(2500):
        here.opened(number + 1, "192.0.2.1", nothing)
    await here.beat()
    assert sessions.beats == [(1000, 0), (1000, 0), (500, 0)]


async def test_an_opening_is_written_without_waiting_for_the_next_beat() -> None:
    store = MemoryStore()
    sessions = Counted(store)
    async with started(sessions, beat_seconds=3600.0, prompt_seconds=0.0) as here:
        await asyncio.wait_for(sessions.happened.wait(), 10)
        sessions.happened.clear()
        session_id = here.opened(1, "192.0.2.1", nothing)
        await asyncio.wait_for(sessions.happened.wait(), 10)
        assert [session.session_id for session in await store.sessions.list()] == [session_id]
        here.closed(session_id)
    assert await store.sessions.list() == []
