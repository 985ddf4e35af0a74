"""What a folder of many messages costs: no step reads what was not asked for.

The rule: rows are counted where they come from the database, and never time.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest

from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange, Items
from services.mail.store.search import Changed, Flagged, Sized
from services.mail.store.uids import BLOCK, LAST_UID, count, from_masks
from services.storage.store import PostgresStore
from services.storage.transaction import Row, Statement, Values
from tests.storage.conftest import inbox, letter

MESSAGES = 64 * BLOCK
GONE = 500


class Reading:
    """A store's reads: rows by statement, and what was asked."""

    def __init__(self) -> None:
        self.rows: Counter[str] = Counter()
        self.values: dict[str, Values] = {}
        self.answers: dict[str, list[Row]] = {}


@pytest.fixture
async def folder(store: PostgresStore) -> MailboxKey:
    """Many messages, every eighth one of which has just gone, at the beginning of the folder."""
    mailbox = await inbox(store)
    await asyncio.gather(*(store.deliveries.deliver(letter(mailbox)) for _ in range(BLOCK)))
    while (status := (await store.mailboxes.status(mailbox.account_id, "INBOX"))[1]).messages < MESSAGES:
        await store.messages.copy(mailbox, ((1, status.messages),), "INBOX")
    gone = tuple((uid, uid) for uid in range(8, 8 * GONE + 1, 8))
    await store.messages.expunge(mailbox, gone, even_undeleted=True)
    return mailbox


@pytest.fixture
async def reading(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> Reading:
    """What is read from here on."""
    noted = Reading()
    read = store.database.read

    async def noting(statement: Statement, values: Values) -> list[Row]:
        rows = await read(statement, values)
        noted.rows[statement.name] += len(rows)
        noted.values[statement.name] = values
        noted.answers[statement.name] = rows
        return rows

    monkeypatch.setattr(store.database, "read", noting)
    return noted


async def test_a_folder_opens_without_a_message_being_read(
    store: PostgresStore, folder: MailboxKey, reading: Reading
) -> None:
    """One row with the counters, and what lives as a bit for each message."""
    opened = await store.mailboxes.open(folder.account_id, "INBOX", claims_recent=False)
    assert reading.rows == {"open": 1}
    assert count(from_masks(opened.blocks, opened.masks)) == MESSAGES - GONE
    assert len(opened.masks) == MESSAGES // BLOCK


@pytest.mark.parametrize("first", [MESSAGES // 4, MESSAGES - 49])
async def test_a_page_reads_its_own_rows_and_no_others(
    store: PostgresStore, folder: MailboxKey, reading: Reading, first: int
) -> None:
    """Nor what has gone elsewhere in the folder, which another session may not have been told of."""
    items = Items.FLAGS | Items.ENVELOPE
    pages = [page async for page in store.messages.fetch(folder, ((first, first + 49),), items)]
    assert (
        sum(len(page.uids) for page in pages) == 50
    )  # what has just gone is still there for who does not know
    assert reading.rows["list range"] == 50
    assert reading.rows["fetch blocks"] <= 2
    ((_, _, gone),) = reading.answers["fetch mailbox"]
    assert all(first <= run.lower and run.upper <= first + 50 for run in gone or ())


@pytest.mark.parametrize(
    ("term", "column"), [(Flagged("\\Flagged"), "flags"), (Changed(5), "modseqs"), (Sized(1, 9), "sizes")]
)
async def test_a_search_reads_the_column_that_it_asks_for(
    store: PostgresStore, folder: MailboxKey, reading: Reading, term: Any, column: str
) -> None:
    """A row for each block, and of its columns one."""
    found = [part async for part in store.search.search(folder, ((1, LAST_UID),), (term,))]
    assert reading.rows["search: blocks"] == MESSAGES // BLOCK
    asked = {
        name for name in ("flags", "modseqs", "sizes") if reading.values["search: blocks"][f"has_{name}"]
    }
    assert asked == {column}
    assert found[-1].searched_to == MESSAGES


async def test_a_change_is_read_with_its_block_alone(
    store: PostgresStore, folder: MailboxKey, reading: Reading
) -> None:
    """What a session is told of the flags of three costs three rows."""
    opened = await store.mailboxes.open(folder.account_id, "INBOX", claims_recent=False)
    asked = tuple((uid, uid) for uid in (1, MESSAGES // 2 + 1, MESSAGES))
    await store.messages.store(folder, asked, FlagChange.ADD, ["\\Seen"])
    delta = await store.mailboxes.sync(folder, opened.status.highest_modseq, opened.status.uid_next)
    assert list(delta.uids) == [uid for uid, _ in asked]
    assert reading.rows["sync"] == 1
