"""The change log, as followed: this part of the store's port.

The rule: within an account, changes come in the order of their modseqs, none is left out, and one that was handed out
is followed only by greater modseqs (or by the rest of the same modseq). A reader that keeps the last modseq it has
dealt with can leave and resume.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from services.mail.store.uids import Runs


class ChangeKind(IntEnum):
    """What happened."""

    ADDED = 1
    FLAGS = 2
    EXPUNGED = 3
    MAILBOX_CREATED = 4
    MAILBOX_RENAMED = 5
    MAILBOX_DELETED = 6
    MAILBOX_CHANGED = 7


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the log. uids: exact for ADDED and EXPUNGED; whole blocks of 64 for FLAGS; else empty."""

    account_id: int
    modseq: int
    mailbox_id: int
    kind: ChangeKind
    uids: Runs


@dataclass(frozen=True, slots=True)
class Fallen:
    """The log of this account no longer reaches back to what was asked; read afresh, then go on from `modseq`."""

    account_id: int
    modseq: int


class Watch(Protocol):
    """One follower of any number of accounts."""

    async def add(self, account_id: int, since: int | None = None) -> int:
        """Follows an account from after modseq `since`; None is from now on. Again: starts over from there.

        Answers the modseq after which it follows: `since`, or the account's modseq now.
        """
        ...

    async def remove(self, account_id: int) -> None:
        """Follows it no longer."""
        ...

    def __aiter__(self) -> AsyncIterator[Change | Fallen]:
        """Changes as they are committed; over the network, resumed by itself when a copy goes away."""
        ...

    async def close(self) -> None:
        """Ends the iteration."""
        ...


class Changes(Protocol):
    """The log of every account."""

    def watch(self) -> Watch:
        """A new follower."""
        ...

    async def list(self, account_id: int, since: int, limit: int) -> Sequence[Change]:
        """At most `limit` changes after modseq `since`, never part of a modseq. Raises BehindFloor."""
        ...
