"""What a run is about: the servers, the accounts, and what went wrong so far.

The rule: clients know nothing of how the servers are run; they ask for a port, and for a letter to be delivered.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.faults.stress.ledger import Ledger, Place
from tests.faults.stress.violations import Violation

MOST_VIOLATIONS = 8


@dataclass(slots=True)
class User:
    """An account. deliver: ways to put a letter into its INBOX; each answers where it is, or None if it cannot tell."""

    login: str
    password: str
    ledger: Ledger = field(default_factory=Ledger)
    ways: Sequence[Callable[[bytes], Awaitable[Place | None]]] = ()


class Undecided(Exception):
    """A delivery was not acknowledged and may have happened."""


@dataclass(slots=True)
class World:
    """ports: where IMAP is served now, by any copy. is_rough: copies are killed meanwhile.

    is_ours: False for a server that answers pipelined commands at the same time and in any order (RFC 9051 §5.5 allows
    it, so nothing is pipelined), refuses without response codes, says OK to STORE and EXPUNGE after EXAMINE without
    doing it, answers STORE with flags as they were before or passes over what it does not change, tells STATUS of the
    selected mailbox as that session knows it, and ends sessions whose mailbox was renamed.
    """

    ports: Callable[[], Sequence[int]]
    users: Sequence[User]
    is_rough: bool = False
    is_ours: bool = True
    violations: list[Violation] = field(default_factory=list)

    def port(self, chance: random.Random) -> int:
        """One of the copies."""
        return chance.choice(list(self.ports()))

    def report(self, violation: Violation) -> None:
        """Notes a violation."""
        self.violations.append(violation)

    @property
    def is_over(self) -> bool:
        """Whether enough is known."""
        return len(self.violations) >= MOST_VIOLATIONS
