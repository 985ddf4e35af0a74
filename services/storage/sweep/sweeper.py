"""Removes what nobody may need any more: dead messages, old requests, the tail of the log, abandoned uploads, and what
removed accounts held.

The rule: one copy of storage sweeps at a time (an advisory lock on a connection of its own), a transaction an account,
and a failure waits for the next round.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Self

import psycopg

from services.mail.errors import StoreUnavailable
from services.plumbing import logs
from services.storage.accounts import removal
from services.storage.sweep import statements
from services.storage.traces import statements as traces
from services.storage.transaction import Database

log = logs.get(__name__)

_SWEEPING: Final = 7_236_178_802
PAGE_ACCOUNTS: Final = 500
PAGE_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Seconds: between two rounds, and for how long each kind of leaving is kept."""

    round_seconds: float = 60.0
    dead_seconds: float = 15 * 60.0
    request_seconds: float = 7 * 86400.0
    log_seconds: float = 30 * 86400.0
    upload_seconds: float = 86400.0
    trace_seconds: float = 14 * 86400.0


class Sweeper:
    """Sweeps every account, round after round."""

    def __init__(
        self, database: Database, direct_url: str, settings: SweepSettings = SweepSettings()
    ) -> None:
        self._database = database
        self._direct_url = direct_url
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends; a transaction under way is still committed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.round_seconds)
            try:
                await self._sweep_alone()
            except (StoreUnavailable, psycopg.Error) as error:
                log.warning("sweep put off", reason=str(error)[:200])

    async def _sweep_alone(self) -> None:
        """Sweeps unless another copy does so now."""
        connection = await psycopg.AsyncConnection.connect(
            self._direct_url, autocommit=True, connect_timeout=5
        )
        async with connection:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (_SWEEPING,))
            row = await cursor.fetchone()
            if row is not None and row[0]:
                await self.sweep()

    async def sweep(self) -> None:
        """One round over everything. Raises StoreUnavailable."""
        own = self._settings
        ages = {
            "dead_seconds": own.dead_seconds,
            "request_seconds": own.request_seconds,
            "log_seconds": own.log_seconds,
        }
        after = 0
        while rows := await self._database.read(
            statements.DUE, {"after": after, "limit": PAGE_ACCOUNTS, **ages}
        ):
            for account_id, has_dead, has_requests, has_changes in rows:
                try:
                    await self._sweep_account(account_id, has_dead, has_requests, has_changes, ages)
                except StoreUnavailable as error:
                    # One account that cannot be swept now must not keep the others from it.
                    log.warning("account not swept", account_id=account_id, reason=error.text)
            after = rows[-1][0]
        for account_id, is_over in await self._database.read(removal.REMOVED, {}):
            try:
                await self._sweep_removed(account_id, is_over)
            except StoreUnavailable as error:
                log.warning("removed account not swept", account_id=account_id, reason=error.text)
        while (await self._database.write(statements.SWEEP_UPLOADS, {"upload_seconds": own.upload_seconds}))[
            0
        ][0]:
            continue
        await self._database.write(statements.SWEEP_PROCESSES, {})
        before = {"before": int((time.time() - own.trace_seconds) * 1_000_000)}
        while (await self._database.write(traces.SWEEP, before))[0][0]:
            continue

    async def _sweep_account(
        self, account_id: int, has_dead: bool, has_requests: bool, has_changes: bool, ages: dict[str, float]
    ) -> None:
        values = {"account_id": account_id}
        if has_dead:
            dead = {**values, "dead_seconds": ages["dead_seconds"]}
            await self._database.transact([account_id], (statements.SWEEP_DEAD, dead))
        if has_requests:
            requests = {**values, "request_seconds": ages["request_seconds"]}
            await self._database.write(statements.SWEEP_REQUESTS, requests)
        if has_changes:
            await self._database.transact(
                [account_id],
                (statements.RAISE_FLOOR, {**values, "log_seconds": ages["log_seconds"]}),
                (statements.SWEEP_CHANGES, values),
                (statements.SWEEP_BLOCKS, values),
            )

    async def _sweep_removed(self, account_id: int, is_over: bool) -> None:
        """is_over: nobody adds to it any more, so that it may be forgotten."""
        values = {"account_id": account_id}
        for each in removal.LEFT:
            while (await self._database.write(each, {**values, "limit": PAGE_ROWS}))[0][0]:
                continue
        if is_over:
            await self._database.write(removal.FORGET, values)
