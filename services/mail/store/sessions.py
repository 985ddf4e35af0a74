"""Processes, open sessions and maildrop locks: this part of the store's port.

The rule: a lease runs by the database's clock. Whoever stops beating loses its sessions and locks, and nobody else's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

# Seconds for which a maildrop lock and a process live without being renewed.
LEASE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Process:
    """A running process. kind: smtp, imap, pop3, …; address: its admin address, for people."""

    process_id: UUID
    kind: str
    address: str


@dataclass(frozen=True, slots=True)
class Session:
    """A logged-in connection. mailbox_id: the selected one or 0; expunged_to: a lower bound of what it was told.

    address: the account's, where sessions are listed; "" where it was removed since.
    """

    session_id: UUID
    account_id: int
    door: str
    peer: str
    opened_at: int
    mailbox_id: int = 0
    expunged_to: int = 0
    address: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class MaildropLock:
    """An exclusive lock on an account's maildrop. RFC 1939 §4. epoch: grows with every holder."""

    account_id: int
    epoch: int


class Sessions(Protocol):
    """Who is connected."""

    async def beat(
        self, process: Process, opened: Sequence[Session], closed: Sequence[UUID]
    ) -> Sequence[UUID]:
        """Renews the process's lease and writes what its sessions became since the last beat, in one batch.

        opened: new sessions, and those whose folder or mark moved. Answers the sessions that are asked to end.
        """
        ...

    async def list(self, account_id: int | None = None) -> Sequence[Session]:
        """Open sessions of living processes, of one account or of all, at most 10,000."""
        ...

    async def end(self, session_id: UUID) -> bool:
        """Asks a session to end; False where there is none."""
        ...

    async def lock_maildrop(self, account_id: int) -> MaildropLock:
        """Locks the maildrop for LEASE_SECONDS. Raises MailboxInUse."""
        ...

    async def renew_maildrop(self, lock: MaildropLock) -> None:
        """Holds it for LEASE_SECONDS more. Raises LockLost."""
        ...

    async def release_maildrop(self, lock: MaildropLock) -> None:
        """Gives it back; nothing happens where it was lost."""
        ...
