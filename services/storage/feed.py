"""The change feed: tells every copy of storage which accounts were touched.

Nothing is notified inside a writing transaction: NOTIFY takes a lock on the whole database at its commit. What commits
within a few milliseconds goes out as one NOTIFY on a connection of the feed's own; where there is always something, it
goes out 20 times a second. The rule: a signal may be lost, or
come twice; so after every LISTEN, and every 15 seconds, the positions of all followers are compared with the accounts.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, Self

import psycopg
from psycopg import sql

from services.mail.errors import StoreUnavailable
from services.plumbing import logs
from services.storage.arrays import Bigints
from services.storage.changes.statements import MODSEQS
from services.storage.transaction import Database

log = logs.get(__name__)

CHANNELS: Final = 4
GATHER_SECONDS: Final = 0.003
SPACING_SECONDS: Final = 0.05
COMPARE_SECONDS: Final = 15.0
RECONNECT_SECONDS: Final = 1.0
# PostgreSQL's bound is 8,000 octets; an id has at most 19 digits and a comma.
IDS_OF_A_SIGNAL: Final = 390

_TELL: Final = "SELECT pg_notify(name, payload) FROM unnest(%s::text[], %s::text[]) AS s (name, payload)"

Direct = psycopg.AsyncConnection[tuple[object, ...]]


class Follower(Protocol):
    """Who wants to hear of accounts."""

    def position_of(self, account_id: int, unknown: int) -> int:
        """Up to which modseq an account was read; `unknown` where it is not followed."""
        ...

    def stir(self, account_id: int) -> None:
        """Is told that an account may have changed."""
        ...


def channel(account_id: int) -> str:
    """The channel on which an account is told of."""
    return f"restante_{account_id % CHANNELS:02d}"


class Feed:
    """Signals of this copy and of all others, to the followers of this one."""

    def __init__(self, database: Database, direct_url: str) -> None:
        self._database = database
        self._direct_url = direct_url
        self._followers: dict[int, set[Follower]] = {}
        self._touched: set[int] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begins to listen; followers may come at any time."""
        self._database.on_commit = self.touch
        self._tasks = [
            asyncio.create_task(run()) for run in (self._listen, self._notify, self._compare_often)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tells what is left to tell, and ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def follow(self, account_id: int, follower: Follower) -> None:
        """From now on the follower is stirred when this account changes."""
        self._followers.setdefault(account_id, set()).add(follower)

    def leave(self, account_id: int, follower: Follower) -> None:
        """Stirs it no longer."""
        followers = self._followers.get(account_id)
        if followers is not None:
            followers.discard(follower)
            if not followers:
                del self._followers[account_id]

    def touch(self, accounts: Sequence[int]) -> None:
        """These accounts were just written to by this copy."""
        self._stir(accounts)
        self._touched.update(accounts)
        self._wake.set()

    def _stir(self, accounts: Iterable[int]) -> None:
        for account_id in accounts:
            for follower in tuple(self._followers.get(account_id, ())):
                follower.stir(account_id)

    async def _notify(self) -> None:
        """Sends what was touched in the last few milliseconds, channel by channel."""
        now = asyncio.get_running_loop().time
        told_at = 0.0
        while True:
            try:
                async with await self._connect() as connection:
                    # A signal need not survive a crash, and should not wait for the disk.
                    await connection.execute("SET synchronous_commit = off")
                    while True:
                        await self._wake.wait()
                        await asyncio.sleep(max(GATHER_SECONDS, told_at + SPACING_SECONDS - now()))
                        self._wake.clear()
                        told_at = now()
                        await self._tell(connection)
            except psycopg.Error as error:
                # Whoever was not told now finds out by comparing.
                log.warning("feed cannot notify", reason=str(error).splitlines()[:1])
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _tell(self, connection: Direct) -> None:
        touched, self._touched = sorted(self._touched), set()
        by_channel: dict[str, list[int]] = {}
        for account_id in touched:
            by_channel.setdefault(channel(account_id), []).append(account_id)
        names: list[str] = []
        payloads: list[str] = []
        for name, ids in by_channel.items():
            for start in range(0, len(ids), IDS_OF_A_SIGNAL):
                names.append(name)
                payloads.append(",".join(map(str, ids[start : start + IDS_OF_A_SIGNAL])))
        await connection.execute(_TELL, (names, payloads), prepare=True)

    async def _listen(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    for number in range(CHANNELS):
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel(number))))
                    await self._compare()
                    async for signal in connection.notifies():
                        self._stir(int(each) for each in signal.payload.split(",") if each.isdecimal())
            except psycopg.Error as error:
                log.warning("feed cannot listen", reason=str(error).splitlines()[:1])
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self) -> Direct:
        return await psycopg.AsyncConnection.connect(
            self._direct_url, autocommit=True, connect_timeout=5, keepalives_idle=30, prepare_threshold=None
        )

    async def _compare_often(self) -> None:
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            await self._compare()

    async def _compare(self) -> None:
        """One query over all followed accounts; stirs the followers that are behind."""
        if not self._followers:
            return
        with contextlib.suppress(StoreUnavailable, psycopg.Error):
            rows = await self._database.read(MODSEQS, {"accounts": Bigints(sorted(self._followers))})
            for account_id, modseq in rows:
                for follower in tuple(self._followers.get(account_id, ())):
                    if follower.position_of(account_id, modseq) < modseq:
                        follower.stir(account_id)
