"""Processes, sessions and maildrop locks in memory, with leases by the store's clock."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.mail.errors import LockLost, MailboxInUse
from services.mail.store.sessions import LEASE_SECONDS, MaildropLock, Process, Session
from tests.fakes.memory.state import State


@dataclass(frozen=True, slots=True)
class MemorySessions:
    """The port's Sessions."""

    state: State

    async def beat(
        self, process: Process, opened: Sequence[Session], closed: Sequence[UUID]
    ) -> Sequence[UUID]:
        """Renews the process's lease and takes what its sessions became."""
        self._sweep()
        state = self.state
        state.processes[process.process_id] = (process, state.clock() + LEASE_SECONDS)
        for session in opened:
            state.sessions[session.session_id] = (process.process_id, session)
        for session_id in closed:
            state.sessions.pop(session_id, None)
        own = [session for owner, session in state.sessions.values() if owner == process.process_id]
        return [
            session.session_id
            for session in own
            if session.session_id in state.ending or session.account_id in state.removed
        ]

    async def list(self, account_id: int | None = None) -> Sequence[Session]:
        """Sessions of living processes."""
        self._sweep()
        sessions = [session for _, session in self.state.sessions.values()]
        wanted = [session for session in sessions if account_id in (None, session.account_id)][:10_000]
        ledgers = self.state.ledgers
        return [
            replace(
                each, address=ledgers[each.account_id].account.address if each.account_id in ledgers else ""
            )
            for each in wanted
        ]

    async def end(self, session_id: UUID) -> bool:
        """Asks a session to end."""
        self._sweep()
        if session_id not in self.state.sessions:
            return False
        self.state.ending.add(session_id)
        return True

    async def lock_maildrop(self, account_id: int) -> MaildropLock:
        """Takes the lock where nobody holds it. Raises MailboxInUse."""
        state = self.state
        if account_id in state.maildrops and state.maildrops[account_id][1] > state.clock():
            raise MailboxInUse
        epoch = state.epochs[account_id] = state.epochs.get(account_id, 0) + 1
        state.maildrops[account_id] = (epoch, state.clock() + LEASE_SECONDS)
        return MaildropLock(account_id, epoch)

    async def renew_maildrop(self, lock: MaildropLock) -> None:
        """Raises LockLost."""
        check_maildrop(self.state, lock)
        self.state.maildrops[lock.account_id] = (lock.epoch, self.state.clock() + LEASE_SECONDS)

    async def release_maildrop(self, lock: MaildropLock) -> None:
        """Gives it back, where it still is the caller's."""
        if self.state.maildrops.get(lock.account_id, (0, 0.0))[0] == lock.epoch:
            del self.state.maildrops[lock.account_id]

    def _sweep(self) -> None:
        state, now = self.state, self.state.clock()
        dead = {key for key, (_, until) in state.processes.items() if until <= now}
        state.processes = {key: row for key, row in state.processes.items() if key not in dead}
        state.sessions = {key: row for key, row in state.sessions.items() if row[0] not in dead}
        state.ending &= state.sessions.keys()


def check_maildrop(state: State, lock: MaildropLock) -> None:
    """Raises LockLost where the lock is another's or its lease has run out."""
    epoch, until = state.maildrops.get(lock.account_id, (0, 0.0))
    if epoch != lock.epoch or until <= state.clock():
        raise LockLost
