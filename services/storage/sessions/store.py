"""Processes, sessions and maildrop locks on PostgreSQL.

The rule: whoever stops beating loses what is its own, and nobody else's.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.mail.errors import LockLost, MailboxInUse
from services.mail.store.sessions import LEASE_SECONDS, MaildropLock, Process, Session
from services.storage.arrays import Bigints, Texts, Uuids
from services.storage.sessions import statements
from services.storage.transaction import Database, Statement, Values


class PostgresSessions:
    """Implements `services.mail.store.sessions.Sessions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(
        self, process: Process, opened: Sequence[Session], closed: Sequence[UUID]
    ) -> Sequence[UUID]:
        """See the port."""
        steps: list[tuple[Statement, Values]] = [
            (
                statements.BEAT,
                {
                    "process_id": process.process_id,
                    "kind": process.kind,
                    "address": process.address,
                    "lease": LEASE_SECONDS,
                },
            )
        ]
        if opened:
            steps.append((statements.OPENED, _columns(process, {each.session_id: each for each in opened})))
        if closed:
            values = {"process_id": process.process_id, "session_ids": Uuids(closed)}
            steps.append((statements.CLOSED, values))
        steps.append((statements.ENDING, {"process_id": process.process_id}))
        # No account's state is touched, so no account is locked.
        rows = (await self._database.transact([], *steps))[-1]
        return [row[0] for row in rows]

    async def list(self, account_id: int | None = None) -> Sequence[Session]:
        """See the port."""
        return [
            Session(*row) for row in await self._database.read(statements.LIST, {"account_id": account_id})
        ]

    async def end(self, session_id: UUID) -> bool:
        """See the port."""
        return bool(await self._database.write(statements.END, {"session_id": session_id}))

    async def lock_maildrop(self, account_id: int) -> MaildropLock:
        """See the port."""
        values = {"account_id": account_id, "lease": LEASE_SECONDS}
        rows = await self._database.write(statements.LOCK, values)
        if not rows:
            raise MailboxInUse
        return MaildropLock(account_id, rows[0][0])

    async def renew_maildrop(self, lock: MaildropLock) -> None:
        """See the port."""
        if not await self._database.write(statements.RENEW, {**_key(lock), "lease": LEASE_SECONDS}):
            raise LockLost

    async def release_maildrop(self, lock: MaildropLock) -> None:
        """See the port."""
        await self._database.write(statements.RELEASE, _key(lock))


def _key(lock: MaildropLock) -> dict[str, Any]:
    return {"account_id": lock.account_id, "epoch": lock.epoch}


def _columns(process: Process, opened: dict[UUID, Session]) -> dict[str, Any]:
    sessions = list(opened.values())
    return {
        "process_id": process.process_id,
        "account_ids": Bigints([each.account_id for each in sessions]),
        "session_ids": Uuids([each.session_id for each in sessions]),
        "doors": Texts([each.door for each in sessions]),
        "peers": Texts([each.peer for each in sessions]),
        "opened_ats": Bigints([each.opened_at for each in sessions]),
        "mailbox_ids": Bigints([each.mailbox_id for each in sessions]),
        "expunged_tos": Bigints([each.expunged_to for each in sessions]),
    }
