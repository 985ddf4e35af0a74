"""Traces that wait to be written: bounded, and nobody waits for them."""

from typing import cast
from uuid import uuid4

from services.mail.errors import StoreUnavailable
from services.mail.store.mailboxes import MailboxKey
from services.storage.traces.recorder import MOST_OCTETS, MOST_WAITING, Recorder
from services.storage.transaction import Database, Row, Statement, Values


class Written:
    """What a database was given. is_away: it takes nothing."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.calls = 0
        self.rows = 0

    async def write(self, _statement: Statement, values: Values) -> list[Row]:
        """Counts the rows."""
        self.calls += 1
        if self.is_away:
            raise StoreUnavailable
        self.rows += len(values["kinds"])
        return []

    def recorder(self) -> Recorder:
        """One that writes here."""
        return Recorder(cast("Database", self), lambda: 0.0)


def note(recorder: Recorder, envelope: bytes = b"()") -> None:
    """A letter came."""
    recorder.note(uuid4(), MailboxKey(1, 1), 1, 1, b"", envelope)


async def test_a_stop_asks_a_database_that_is_away_once() -> None:
    """Each try may wait for a connection for seconds, and there may be forty of them."""
    written = Written(is_away=True)
    async with written.recorder() as recorder:
        for _ in range(3000):
            note(recorder)
    assert written.calls == 1


async def test_what_waits_is_written_once_the_database_is_back() -> None:
    """All but those that it was asked to take while it was away."""
    written = Written(is_away=True)
    async with written.recorder() as recorder:
        for _ in range(1200):
            note(recorder)
        await recorder.flush()
        written.is_away = False
    assert written.rows == 700


async def test_notes_are_bounded_by_number_and_by_octets() -> None:
    """The oldest go: an ENVELOPE may have 64 KB, and a peer decides how large it is."""
    written = Written()
    async with written.recorder() as recorder:
        for _ in range(2000):
            note(recorder, b"x" * 65536)
    assert written.rows == MOST_OCTETS // 65536
    written = Written()
    async with written.recorder() as recorder:
        for _ in range(MOST_WAITING + 10):
            note(recorder)
    assert written.rows == MOST_WAITING
