"""Keeps the texts of messages for searching, behind delivery.

The rule: nobody waits for it and nothing depends on it: a text that is not kept is read when it is searched. It works
in the order of body ids, so that what is kept ends where the work goes on; accounts have their turns, a few messages
each; and while letters come in, it rests longer than it works, less so where somebody searches.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Self

from services.mail.errors import StoreUnavailable
from services.mail.search import texts
from services.mail.search.bodies import joined
from services.plumbing import logs
from services.storage.arrays import Bigints, Texts
from services.storage.search import statements
from services.storage.search.sources import Source
from services.storage.transaction import Database, Row

log = logs.get(__name__)

# Bodies read at once, and of how many octets, but for the last one.
_TOGETHER: Final = 100
_TOGETHER_OCTETS: Final = 1024 * 1024
# A longer text is not kept, but read whenever it is searched.
MOST_KEPT: Final = 1024 * 1024
_UNSENT: Final = -(2**40)
# How much longer it rests than it works: while letters come in, and else.
_REST_BUSY: Final = 49.0
_REST_QUIET: Final = 1.0
# The same while somebody searches what is not kept yet.
_REST_WANTED_BUSY: Final = 4.0
_REST_WANTED: Final = 0.1


class Indexer:
    """Follows the accounts that this copy writes to. delay_seconds: behind the first write that is not yet seen to.

    letters_at: when the last letter came in, by the loop's clock.
    """

    def __init__(
        self, database: Database, letters_at: Callable[[], float], delay_seconds: float = 2.0
    ) -> None:
        self._database = database
        self._letters_at = letters_at
        self._delay = delay_seconds
        self._touched: dict[int, None] = {}  # in the order of their turns
        self._wanted: set[int] = set()
        self._after: dict[int, int] = {}  # body ids that were seen to: some may not be kept for good
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begins to follow what is committed, beside whoever did so before."""
        before = self._database.on_commit

        def on_commit(accounts: Sequence[int]) -> None:
            before(accounts)
            self.touch(accounts)

        self._database.on_commit = on_commit
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends; what is left is for another time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def touch(self, accounts: Sequence[int]) -> None:
        """These accounts may have messages whose text is not kept."""
        if accounts:
            self._touched.update(dict.fromkeys(accounts))
            self._wake.set()

    def hasten(self, account_id: int) -> None:
        """Somebody has searched messages of this account whose text is not kept."""
        self._touched.setdefault(account_id)
        self._wanted.add(account_id)
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            if not self._wanted:
                await asyncio.sleep(self._delay)
            self._wake.clear()
            while self._touched:
                account_id = next(
                    (each for each in self._touched if each in self._wanted), next(iter(self._touched))
                )
                del self._touched[account_id]
                began = loop.time()
                if await self._is_behind(account_id):
                    self._touched.setdefault(account_id)
                else:
                    self._wanted.discard(account_id)
                is_busy = began - self._letters_at() < self._delay
                if account_id in self._wanted:
                    rest = _REST_WANTED_BUSY if is_busy else _REST_WANTED
                else:
                    rest = _REST_BUSY if is_busy else _REST_QUIET
                await asyncio.sleep((loop.time() - began) * rest)

    async def _is_behind(self, account_id: int) -> bool:
        """One turn of an account; whether it needs another."""
        try:
            return await self.keep_some(account_id)
        except StoreUnavailable as error:
            log.warning("texts not kept for now", account_id=account_id, reason=error.text)
        except Exception:
            log.exception("keeping texts failed", account_id=account_id)
        return False

    async def catch_up(self, account_id: int) -> None:
        """Keeps the texts of all messages of an account. Raises StoreUnavailable."""
        while await self.keep_some(account_id):
            pass

    async def keep_some(self, account_id: int) -> bool:
        """Keeps the texts of the next few messages; whether there were any. Raises StoreUnavailable."""
        values = {
            "account_id": account_id,
            "after": self._after.get(account_id, 0),
            "limit": _TOGETHER,
            "octets": _TOGETHER_OCTETS,
        }
        rows = await self._database.read(statements.UNPREPARED, values)
        if not rows:
            self._after.pop(account_id, None)
            return False
        await self._keep(account_id, rows)
        self._after[account_id] = rows[-1][0]
        return True

    async def _keep(self, account_id: int, rows: Sequence[Row]) -> None:
        body_ids, sent, are_kept = Bigints(), Bigints(), Bigints()
        headers, bodies = Texts(), Texts()
        for body_id, *columns in rows:
            await asyncio.sleep(0)
            try:
                source = Source.of(self._database.read, tuple(columns))
                own = await source.own_header()
                header, body = await source.folded_header(own), await _kept_body(source)
            except StoreUnavailable:
                raise
            except Exception:
                # It is read whenever it is searched; the others are not to wait for it.
                log.exception("text not kept", account_id=account_id, body_id=body_id)
                continue
            day = texts.sent_day(own)
            body_ids.append(body_id)
            sent.append(_UNSENT if day is None else day)
            headers.append(header)
            bodies.append(body or "")
            are_kept.append(int(body is not None))
        values = {
            "account_id": account_id,
            "body_ids": body_ids,
            "sent": sent,
            "headers": headers,
            "bodies": bodies,
            "are_kept": are_kept,
            "unsent": _UNSENT,
        }
        if body_ids:
            await self._database.write(statements.PREPARE, values)


async def _kept_body(source: Source) -> str | None:
    """The text of all parts, or None where it is too long to be kept."""
    parts: dict[int, tuple[list[str], list[str]]] = {}
    length = 0
    async for number, text, seen in source.body_texts():
        length += len(text) + len(seen)
        if length > MOST_KEPT:
            return None
        texts_of_part, seen_of_part = parts.setdefault(number, ([], []))
        texts_of_part.append(text)
        seen_of_part.append(seen)
    return joined([("".join(text), "".join(seen)) for text, seen in parts.values()])
