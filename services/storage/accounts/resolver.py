"""Looks recipients up together: those that wait right now share one statement.

The rule: no timer. What is looked up next is what queued while the last statements were under way; a caller that went
away takes nothing from the others.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from services.storage.accounts.statements import RESOLVE
from services.storage.arrays import Bigints, Texts
from services.storage.transaction import Database, Row

MAX_TOGETHER: Final = 200
# Statements under way: the second is made ready while the first is answered.
STATEMENTS: Final = 2

_Ask = tuple[Sequence[str], int, "asyncio.Future[Row | None]"]


class Resolver:
    """The lookup at RCPT."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: deque[_Ask] = deque()
        self._statements = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, candidates: Sequence[str], size: int) -> Row | None:
        """Address, account_id, is_enabled, mailbox_id of INBOX and whether `size` octets fit, of the first that exists.

        candidates: canonical, the best first. Raises StoreUnavailable.
        """
        answer: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._asked.append((candidates, max(size, 0), answer))
        if self._statements < STATEMENTS:
            self._statements += 1
            task = asyncio.create_task(self._look_up())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _look_up(self) -> None:
        try:
            while self._asked:
                batch = [self._asked.popleft() for _ in range(min(len(self._asked), MAX_TOGETHER))]
                await self._answer(batch)
        finally:
            self._statements -= 1

    async def _answer(self, batch: Sequence[_Ask]) -> None:
        numbers, addresses, sizes = Bigints(), Texts(), Bigints()
        for number, (candidates, size, _) in enumerate(batch):
            for address in candidates:
                numbers.append(number)
                addresses.append(address)
                sizes.append(size)
        values = {"numbers": numbers, "addresses": addresses, "sizes": sizes}
        found: dict[int, Row] = {}
        failure: Exception | None = None
        try:
            found = {row[0]: row[1:] for row in await self._database.read(RESOLVE, values)}
        except Exception as error:  # noqa: BLE001 - whoever asked hears it
            failure = error
        for number, (_, _, answer) in enumerate(batch):
            if answer.done():
                continue
            if failure is None:
                answer.set_result(found.get(number))
            else:
                answer.set_exception(failure)
