"""The only place that begins, locks, logs and commits.

The rule of writing: a transaction locks its accounts in key order, then their mailboxes, and holds both to the commit.
One statement sees one snapshot, taken before it waits for a lock; so whatever reads before it writes travels as BEGIN,
locks, statement, COMMIT in one pipeline, and nothing is decided in Python between lock and COMMIT. A cancelled caller
does not interrupt the pipeline. After any error: ROLLBACK. Of those who wait for one account, all but the first wait
without a connection: one busy account never takes all of them. Domains, addresses and aliases are locked together, as
if they were an account: the directory.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, LiteralString, Self, TypeVar
from weakref import WeakValueDictionary

import psycopg
import psycopg_pool
from psycopg.pq import TransactionStatus

from services.mail.errors import StoreUnavailable
from services.plumbing import logs
from services.storage import arrays

log = logs.get(__name__)

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Connection = psycopg.AsyncConnection[Row]
T = TypeVar("T")

# Statements that another one, or a lost connection, made fail: the same request may work later.
_TRANSIENT: Final = (psycopg.OperationalError, psycopg.InterfaceError)
_SLOW_SECONDS: Final = 1.0
# Rows made of an answer before others have their turn: a few milliseconds.
_ROWS_AT_ONCE: Final = 1000
_READ_ATTEMPTS: Final = 3
# How long a transaction waits for others of this process to let its account go; less than a door waits.
_TURN_SECONDS: Final = 25.0
# Transactions of one account that are with the database: one at work, and the next, which begins at its commit.
_TURNS: Final = 2

# The row of account_state that stands for all domains, addresses and aliases; its number comes before all accounts'.
DIRECTORY: Final = 0

# Locks by the primary key, in its order; busy accounts are waited for.
_LOCK_ACCOUNTS: Final = (
    "SELECT account_id FROM account_state WHERE account_id = ANY(%(accounts)s) ORDER BY account_id FOR UPDATE"
)
# Locks by the primary key, in its order.
_LOCK_MAILBOXES: Final = (
    "SELECT mailbox_id FROM mailbox_state WHERE account_id = %(account_id)s AND mailbox_id = ANY(%(mailboxes)s)"
    " ORDER BY mailbox_id FOR UPDATE"
)


class ConnectionLost(StoreUnavailable):
    """The connection went while a statement was under way: whether it took effect is not known."""


@dataclass(slots=True)
class Counts:
    """What was sent since the start: tests and metrics read it."""

    statements: int = 0
    transactions: int = 0
    by_name: dict[str, int] = field(default_factory=dict)


_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Statement:
    """Constant SQL with %(name)s parameters, and the name under which it is counted and logged.

    query, order: the same with $1, $2…, and the names that they stand for; psycopg would look for them at each use.
    """

    name: str
    text: LiteralString
    query: bytes = field(init=False, repr=False)
    order: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numbers = {
            name: number for number, name in enumerate(dict.fromkeys(_PARAMETER.findall(self.text)), 1)
        }
        query = _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", self.text).replace("%%", "%")
        object.__setattr__(self, "query", query.encode())
        object.__setattr__(self, "order", tuple(numbers))


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many connections, how long to wait for one, and whether statements are prepared."""

    size: int = 10
    wait_seconds: float = 5.0
    prepares: bool = True


class Database:
    """A pool of connections, and the few ways to use one."""

    def __init__(self, url: str, settings: PoolSettings = PoolSettings()) -> None:
        self.counts = Counts()
        self.on_commit: Callable[[Sequence[int]], None] = lambda _accounts: None
        self._settings = settings
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turns: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self._pool: psycopg_pool.AsyncConnectionPool[Connection] = psycopg_pool.AsyncConnectionPool(
            url,
            min_size=min(2, settings.size),
            max_size=settings.size,
            timeout=settings.wait_seconds,
            open=False,
            configure=self._configure,
            kwargs={"autocommit": True, "connect_timeout": 5},
            max_idle=120,
            reconnect_timeout=60,
        )

    async def __aenter__(self) -> Self:
        """Opens the pool. Raises StoreUnavailable."""
        try:
            await self._pool.open(wait=True, timeout=self._settings.wait_seconds)
        except psycopg_pool.PoolTimeout as error:
            await self._pool.close()
            raise StoreUnavailable("no database") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for what is under way, then closes."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._pool.close()

    async def read(self, statement: Statement, values: Values) -> list[Row]:
        """One statement that only reads; tried again where a connection was lost. Raises StoreUnavailable."""
        return (await self.read_together((statement, values)))[0]

    async def read_together(self, *steps: tuple[Statement, Values]) -> list[list[Row]]:
        """Statements that only read, in one round trip, each with a snapshot of its own. Raises StoreUnavailable."""
        for attempt in range(_READ_ATTEMPTS):
            try:
                return await self._shielded(self._send(steps))
            except ConnectionLost:
                if attempt == _READ_ATTEMPTS - 1:
                    raise
                await self._pool.check()
        raise AssertionError

    async def write(self, statement: Statement, values: Values) -> list[Row]:
        """One statement that decides before it writes, committed when this returns.

        It reads nothing but the rows that it locks. Raises StoreUnavailable; ConnectionLost where it may have happened.
        """
        return (await self._shielded(self._send(((statement, values),))))[0]

    async def transact(
        self,
        accounts: Sequence[int],
        *steps: tuple[Statement, Values],
        mailboxes: Sequence[int] = (),
    ) -> list[list[Row]]:
        """BEGIN, the locks, the steps and COMMIT in one round trip; answers the rows of each step, and tells the feed.

        accounts: locked in key order, waiting for those that are busy. mailboxes: of the first account.
        Raises StoreUnavailable; ConnectionLost where it may have happened.
        """
        return await self._shielded(self._transact(sorted(set(accounts)), sorted(set(mailboxes)), steps))

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def _send(self, steps: Sequence[tuple[Statement, Values]]) -> list[list[Row]]:
        async def run(connection: Connection) -> list[list[Row]]:
            if len(steps) == 1:
                return [await self._execute(connection, *steps[0])]
            async with connection.pipeline():
                cursors = [await self._queue(connection, statement, values) for statement, values in steps]
            return [await _rows_of(cursor) for cursor in cursors]

        return await self._borrow(run, steps)

    async def _transact(
        self, accounts: Sequence[int], mailboxes: Sequence[int], steps: Sequence[tuple[Statement, Values]]
    ) -> list[list[Row]]:
        async def run(connection: Connection) -> list[list[Row]]:
            async with connection.pipeline():
                await self._queue(connection, BEGIN, {})
                await self._queue(connection, LOCK_ACCOUNTS, {"accounts": arrays.Bigints(accounts)})
                if mailboxes:
                    await self._queue(
                        connection,
                        LOCK_MAILBOXES,
                        {"account_id": accounts[0], "mailboxes": arrays.Bigints(mailboxes)},
                    )
                cursors = [await self._queue(connection, statement, values) for statement, values in steps]
                await self._queue(connection, COMMIT, {})
            return [await _rows_of(cursor) for cursor in cursors]

        self.counts.transactions += 1
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(_TURN_SECONDS):
                    for account_id in accounts:
                        turn = self._turns.setdefault(account_id, asyncio.Semaphore(_TURNS))
                        await turns.enter_async_context(turn)
            except TimeoutError:
                raise StoreUnavailable("the account is busy") from None
            rows = await self._borrow(run, steps)
        # Here, not where the rows go: whoever asked may be gone, and those who follow are to hear of it all the same.
        self.on_commit(accounts)
        return rows

    async def _execute(self, connection: Connection, statement: Statement, values: Values) -> list[Row]:
        return await _rows_of(await self._queue(connection, statement, values))

    async def _queue(
        self, connection: Connection, statement: Statement, values: Values
    ) -> psycopg.AsyncCursor[Row]:
        self.counts.statements += 1
        self.counts.by_name[statement.name] = self.counts.by_name.get(statement.name, 0) + 1
        cursor = connection.cursor(binary=True)
        await cursor.execute(statement.query, [values[name] for name in statement.order] or None)
        return cursor

    async def _borrow(
        self, run: Callable[[Connection], Awaitable[T]], steps: Sequence[tuple[Statement, Values]]
    ) -> T:
        started = time.monotonic()
        try:
            connection = await self._pool.getconn()
        except psycopg_pool.PoolTimeout as error:
            raise StoreUnavailable("the database is busy or away") from error
        except (psycopg_pool.PoolClosed, *_TRANSIENT) as error:
            raise StoreUnavailable("no database") from error
        try:
            return await run(connection)
        except _TRANSIENT as error:
            is_lost = connection.broken or connection.closed
            log.warning(
                "statement failed", statement=steps[0][0].name, reason=_first_line(error), is_lost=is_lost
            )
            if is_lost:
                raise ConnectionLost("the connection to the database was lost") from error
            raise StoreUnavailable(_first_line(error)) from error
        finally:
            await self._give_back(connection)
            seconds = time.monotonic() - started
            if seconds > _SLOW_SECONDS:
                log.info("slow transaction", statement=steps[0][0].name, seconds=round(seconds, 3))

    async def _give_back(self, connection: Connection) -> None:
        if not connection.closed and connection.pgconn.transaction_status != TransactionStatus.IDLE:
            try:
                await connection.rollback()
            except psycopg.Error:
                await connection.close()
        await self._pool.putconn(connection)

    async def _configure(self, connection: Connection) -> None:
        arrays.register(connection)
        connection.cursor_factory = psycopg.AsyncRawCursor
        # At the first use: plans are generic, and there are fewer statements than one connection keeps.
        connection.prepare_threshold = 0 if self._settings.prepares else None


async def _rows_of(cursor: "psycopg.AsyncCursor[Row]") -> list[Row]:
    """The rows, made of what came some at a time: others have their turn in between."""
    rows: list[Row] = []
    while cursor.description and (some := await cursor.fetchmany(_ROWS_AT_ONCE)):
        rows += some
        if len(some) < _ROWS_AT_ONCE:
            break
        await asyncio.sleep(0)
    return rows


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


BEGIN: Final = Statement("begin", "BEGIN")
COMMIT: Final = Statement("commit", "COMMIT")
LOCK_ACCOUNTS: Final = Statement("lock accounts", _LOCK_ACCOUNTS)
LOCK_MAILBOXES: Final = Statement("lock mailboxes", _LOCK_MAILBOXES)
