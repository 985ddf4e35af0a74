"""The rule of writing: commit order is UID order is modseq order. architecture.md, "The store"."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from services.mail.store.deliveries import Placed
from services.mail.store.messages import FlagChange, Items
from services.mail.store.uids import LAST_UID
from services.storage.store import PostgresStore, open_store
from tests.storage.conftest import OCTETS, held, inbox, letter


async def test_fifty_writers_into_one_account_through_two_copies(
    store: PostgresStore, database_url: str
) -> None:
    """No deadlock, no gap, and a reader that polls never finds a smaller modseq or uid later."""
    mailbox = await inbox(store)
    seen: list[tuple[int, int]] = []
    is_done = False

    async def poll() -> None:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            known = 0
            while not is_done:
                cursor = await connection.execute(
                    "SELECT modseq, uid FROM changes, unnest(runs) AS r, generate_series(lower(r), upper(r) - 1) AS uid"
                    " WHERE account_id = %s AND kind = 1 AND modseq > %s ORDER BY modseq, uid",
                    (mailbox.account_id, known),
                )
                seen.extend((modseq, uid) for modseq, uid in await cursor.fetchall())
                known = seen[-1][0] if seen else 0

    async with open_store(database_url) as other:
        polling = asyncio.create_task(poll())

        async def write(number: int) -> None:
            copy = (store, other)[number % 2]
            for turn in range(10):
                if (number + turn) % 3:
                    await copy.deliveries.deliver(letter(mailbox))
                else:
                    await copy.messages.append(mailbox, OCTETS, len(OCTETS), ["\\Seen"])
                if turn == 5:
                    await copy.messages.store(mailbox, ((1, LAST_UID),), FlagChange.ADD, ["\\Flagged"])

        await asyncio.gather(*(write(number) for number in range(50)))
        while not seen or seen[-1][1] < 500:  # noqa: ASYNC110 - what the poller sees is the event
            await asyncio.sleep(0.01)
        is_done = True
        await polling
    assert [uid for _, uid in seen] == list(range(1, 501))
    assert [modseq for modseq, _ in seen] == sorted(modseq for modseq, _ in seen)


async def test_flags_are_decided_after_the_lock_was_waited_for(
    store: PostgresStore, database_url: str
) -> None:
    """One statement sees one snapshot, taken before it waits for a lock."""
    mailbox = await inbox(store)
    await store.deliveries.deliver(letter(mailbox))
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute(
            "SELECT 1 FROM account_state WHERE account_id = %s FOR UPDATE", (mailbox.account_id,)
        )
        storing = asyncio.create_task(
            store.messages.store(mailbox, ((1, 1),), FlagChange.REMOVE, ["\\Seen"], unchanged_since=1000)
        )
        waits = "SELECT 1 FROM pg_locks WHERE NOT granted LIMIT 1"
        while not await (await connection.execute(waits)).fetchall():  # noqa: ASYNC110 - a lock is no event here
            await asyncio.sleep(0.01)
        await connection.execute(
            "UPDATE flag_blocks SET flags = '{1}', modseqs = '{7}' WHERE account_id = %s",
            (mailbox.account_id,),
        )
        await connection.execute(
            "UPDATE account_state SET modseq = 7 WHERE account_id = %s", (mailbox.account_id,)
        )
        await connection.execute(
            "UPDATE mailbox_state SET unseen = 0, highest_modseq = 7 WHERE account_id = %s",
            (mailbox.account_id,),
        )
    stored = await storing
    assert (stored.changed, list(stored.flags), stored.highest_modseq) == (((1, 1),), [0], 8)


async def test_nothing_is_written_where_nothing_changes(store: PostgresStore) -> None:
    """STORE of flags that are there already."""
    mailbox = await inbox(store)
    await store.deliveries.deliver(letter(mailbox))
    first = await store.messages.store(mailbox, ((1, 1),), FlagChange.ADD, ["\\Seen"])
    again = await store.messages.store(mailbox, ((1, 1),), FlagChange.ADD, ["\\Seen"])
    assert again.highest_modseq == again.previous_modseq == first.highest_modseq
    assert again.changed == ()


async def test_who_shares_a_modseq_does_not_take_it_for_its_own(store: PostgresStore) -> None:
    """A session that appended may go on from previous_modseq only if nothing else came with its message."""
    mailbox = await inbox(store)
    found = await asyncio.gather(*(store.messages.append(mailbox, OCTETS, len(OCTETS)) for _ in range(10)))
    alone = await store.messages.append(mailbox, OCTETS, len(OCTETS))
    assert alone.previous_modseq == max(each.modseq for each in found)
    by_modseq: dict[int, list[int]] = {}
    for each in found:
        by_modseq.setdefault(each.modseq, []).append(each.previous_modseq)
    for modseq, previous in by_modseq.items():
        assert len(previous) == 1 or set(previous) == {modseq}


async def test_late_keywords_travel_with_copies(store: PostgresStore) -> None:
    """Keywords beyond the bits of a block: appended, stored, removed, replaced and copied."""
    mailbox = await inbox(store)
    names = [f"k{number}" for number in range(70)]
    for name in names:
        await store.messages.append(mailbox, OCTETS, len(OCTETS), [name])
    await store.messages.store(mailbox, ((1, 2),), FlagChange.ADD, ["k69", "k0"])
    await store.messages.store(mailbox, ((2, 2),), FlagChange.REMOVE, ["k69"])
    await store.messages.store(mailbox, ((64, 64),), FlagChange.REPLACE, ["k68"])
    await store.mailboxes.create(mailbox.account_id, "copies")
    for _ in range(2):
        await store.messages.copy(mailbox, ((1, LAST_UID),), "copies")
    target = (await store.mailboxes.status(mailbox.account_id, "copies"))[0].key
    sources = [
        flags
        async for page in store.messages.fetch(mailbox, ((1, LAST_UID),), Items.FLAGS)
        for flags in page.flags
    ]
    copies = [
        flags
        async for page in store.messages.fetch(target, ((1, LAST_UID),), Items.FLAGS)
        for flags in page.flags
    ]
    assert copies == sources * 2
    bit = 1 << 6
    assert sources[:3] == [bit | bit << 69, bit | bit << 1, bit << 2]
    assert (sources[63], sources[69]) == (bit << 68, bit << 69)


async def test_an_outcome_is_known_after_the_connection_was_cut(
    store: PostgresStore, database_url: str
) -> None:
    """The request id settles whether a letter was stored; it is never sent again blindly."""
    mailbox = await inbox(store)

    async def cut() -> None:
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
            for _ in range(30):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%WITH copies%'"
                )
                await asyncio.sleep(0.005)

    cutting = asyncio.create_task(cut())
    found = []
    while not cutting.done():
        found += await asyncio.gather(
            *(store.deliveries.deliver(letter(mailbox)) for _ in range(5)), return_exceptions=True
        )
    await cutting
    placed = [
        each.outcomes[0].uid
        for each in found
        if not isinstance(each, BaseException) and isinstance(each.outcomes[0], Placed)
    ]
    assert len(placed) == len(set(placed)) > 0
    # Only what was refused may or may not be there.
    status = (await store.mailboxes.status(mailbox.account_id, "INBOX"))[1]
    assert len(placed) <= status.messages <= len(found)


async def test_a_busy_account_takes_few_connections(store: PostgresStore, database_url: str) -> None:
    """Its writers wait without one; everybody else goes on, and at the end all of them have written."""
    busy, other = await inbox(store), await inbox(store)
    await store.deliveries.deliver(letter(busy))
    async with held(database_url, busy.account_id):
        storing = [
            asyncio.create_task(store.messages.store(busy, ((1, 1),), FlagChange.ADD, [f"k{number}"]))
            for number in range(40)
        ]
        await asyncio.sleep(0.1)
        await asyncio.wait_for(store.deliveries.deliver(letter(other)), 2)
    await asyncio.gather(*storing)
    async for page in store.messages.fetch(busy, ((1, 1),), Items.FLAGS):
        assert page.flags[0].bit_count() == 40


async def test_a_write_whose_caller_has_gone_is_told_to_those_who_follow(
    store: PostgresStore, database_url: str
) -> None:
    account_id = (await inbox(store)).account_id
    told: asyncio.Queue[Sequence[int]] = asyncio.Queue()
    before = store.database.on_commit

    def on_commit(accounts: Sequence[int]) -> None:
        told.put_nowait(accounts)
        before(accounts)

    store.database.on_commit = on_commit
    async with held(database_url, account_id):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await store.mailboxes.create(account_id, "Late")
        assert told.empty()
    async with asyncio.timeout(5):
        assert await told.get() == [account_id]
    assert (await store.mailboxes.status(account_id, "Late"))[0].name == "Late"
