"""The change feed: which accounts have something new, told between the copies of storage.

The rule: nothing is notified inside a transaction that writes (NOTIFY takes a database-wide lock at commit), and the
signal is a hint: after every LISTEN and every few seconds one query compares the modseqs of all watched accounts.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import psycopg

from services.mail.errors import StoreUnavailable
from services.plumbing import logs
from services.storage.arrays import Bigints, Texts
from services.storage.changes import statements
from services.storage.transaction import Database

log = logs.get(__name__)

CHANNELS: Final = 16
_MAX_PAYLOAD: Final = 7_900
_GATHER_SECONDS: Final = 0.003
_RECONNECT_SECONDS: Final = 1.0
_COMPARED_AT_ONCE: Final = 5_000


class Follower(Protocol):
    """Somebody who follows accounts."""

    def touch(self, account_id: int) -> None:
        """There may be something new."""
        ...

    def positions(self) -> dict[int, int]:
        """The accounts and the modseqs that are known."""
        ...


class Feed:
    """Gathers what was committed here, tells the others, and wakes who follows here."""

    def __init__(self, database: Database, direct_url: str, compare_seconds: float = 15.0) -> None:
        self._database = database
        self._direct_url = direct_url
        self._compare_seconds = compare_seconds
        self._touched: set[int] = set()
        self._has_touched = asyncio.Event()
        self._followers: set[Follower] = set()
        self._by_account: dict[int, set[Follower]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.listening = asyncio.Event()

    def start(self) -> None:
        """Begins to tell and to listen."""
        self._database.on_commit = self.committed
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work) for work in (self._tell(), self._listen(), self._compare_often())]

    async def stop(self) -> None:
        """Ends both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def join(self, follower: Follower) -> None:
        """From now on its positions are compared."""
        self._followers.add(follower)

    def part(self, follower: Follower) -> None:
        """It follows nothing any more."""
        self._followers.discard(follower)
        for account_id in list(follower.positions()):
            self.leave(follower, account_id)

    def follow(self, follower: Follower, account_id: int) -> None:
        """It is woken for this account."""
        self._by_account.setdefault(account_id, set()).add(follower)

    def leave(self, follower: Follower, account_id: int) -> None:
        """No longer."""
        followers = self._by_account.get(account_id)
        if followers is not None:
            followers.discard(follower)
            if not followers:
                del self._by_account[account_id]

    def committed(self, accounts: Sequence[int]) -> None:
        """Something of these accounts was committed here."""
        for account_id in accounts:
            self._wake(account_id)
        self._touched.update(accounts)
        self._has_touched.set()

    def _wake(self, account_id: int) -> None:
        for follower in self._by_account.get(account_id, ()):
            follower.touch(account_id)

    async def _tell(self) -> None:
        while True:
            await self._has_touched.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._has_touched.clear()
            touched, self._touched = self._touched, set()
            channels, payloads = _payloads(touched)
            try:
                await self._database.read(statements.NOTIFY, {"channels": channels, "payloads": payloads})
            except StoreUnavailable:
                log.warning("others not told", accounts=len(touched))

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except (psycopg.Error, OSError) as error:
                log.warning("feed reconnects", reason=str(error).strip()[:200])
            finally:
                self.listening.clear()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._direct_url, autocommit=True, connect_timeout=5
        ) as connection:
            for channel in range(CHANNELS):
                await connection.execute(f"LISTEN restante_{channel}".encode())
            self.listening.set()
            await self._compare()
            async for notification in connection.notifies():
                for account in notification.payload.split(","):
                    self._wake(int(account))

    async def _compare_often(self) -> None:
        while True:
            await asyncio.sleep(self._compare_seconds)
            await self._compare()

    async def _compare(self) -> None:
        """Wakes whoever is behind, whether a signal came or not."""
        watched = sorted(self._by_account)
        for start in range(0, len(watched), _COMPARED_AT_ONCE):
            accounts = Bigints(watched[start : start + _COMPARED_AT_ONCE])
            try:
                rows = await self._database.read(statements.MODSEQS, {"accounts": accounts})
            except StoreUnavailable:
                return
            for account_id, modseq in rows:
                for follower in self._by_account.get(account_id, ()):
                    if follower.positions().get(account_id, modseq) < modseq:
                        follower.touch(account_id)


def _payloads(accounts: set[int]) -> tuple[Texts, Texts]:
    """Channels, and account ids with commas, each under PostgreSQL's bound."""
    channels, payloads = Texts(), Texts()
    by_channel: dict[int, list[str]] = {}
    for account_id in accounts:
        by_channel.setdefault(account_id % CHANNELS, []).append(str(account_id))
    for channel, ids in by_channel.items():
        step = _MAX_PAYLOAD // 20
        for start in range(0, len(ids), step):
            channels.append(f"restante_{channel}")
            payloads.append(",".join(ids[start : start + step]))
    return channels, payloads
