"""The maildrop locks that this process holds, renewed together. RFC 1939 §4.

Rule: a session whose lock is lost is ended at once; its QUIT would be refused anyway, since the update phase
names the lock.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from services.mail.errors import LockLost, MailboxInUse, MailError
from services.mail.store.sessions import LEASE_SECONDS, MaildropLock, Sessions
from services.plumbing import logs

log = logs.get(__name__)

RENEW_SECONDS = LEASE_SECONDS / 4
# How often a maildrop that is in use is asked for again, and after how many seconds each time.
TRIES = 6
TRY_SECONDS = 0.1


class Locks:
    """Takes, renews and gives back maildrop locks.

    renew_seconds: how often all of them are renewed.
    """

    def __init__(self, sessions: Sessions, renew_seconds: float = RENEW_SECONDS) -> None:
        self._sessions = sessions
        self._renew_seconds = renew_seconds
        self._held: dict[MaildropLock, Callable[[], None]] = {}

    async def take(self, account_id: int, on_loss: Callable[[], None]) -> MaildropLock:
        """Locks a maildrop. on_loss: called when somebody else got it. Raises MailboxInUse.

        Whoever was just cut off gives back a moment later, and often comes again at once.
        """
        for _ in range(TRIES - 1):
            with suppress(MailboxInUse):
                return await self._take(account_id, on_loss)
            await asyncio.sleep(TRY_SECONDS)
        return await self._take(account_id, on_loss)

    async def _take(self, account_id: int, on_loss: Callable[[], None]) -> MaildropLock:
        lock = await self._sessions.lock_maildrop(account_id)
        self._held[lock] = on_loss
        return lock

    async def give_back(self, lock: MaildropLock) -> None:
        """Releases a lock; where the store cannot be reached, its lease runs out by itself."""
        self._held.pop(lock, None)
        try:
            await self._sessions.release_maildrop(lock)
        except MailError as error:
            log.warning("maildrop lock left to its lease", account_id=lock.account_id, reason=error.text)

    async def renew_forever(self) -> None:
        """Renews every lock in turn until cancelled."""
        while True:
            await asyncio.sleep(self._renew_seconds)
            await self.renew_all()

    async def renew_all(self) -> None:
        """Renews every lock once."""
        for lock in list(self._held):
            if lock not in self._held:
                continue
            try:
                await self._sessions.renew_maildrop(lock)
            except LockLost:
                on_loss = self._held.pop(lock, None)
                if on_loss is not None:
                    on_loss()
            except MailError as error:
                log.warning("maildrop lock not renewed", account_id=lock.account_id, reason=error.text)
