"""The parts of the port over one state in memory."""

import time
from collections.abc import Callable

from services.mail.store import Store
from tests.fakes.memory.accounts import MemoryAccounts
from tests.fakes.memory.aliases import MemoryAliases
from tests.fakes.memory.changes import MemoryChanges
from tests.fakes.memory.credentials import MemoryCredentials
from tests.fakes.memory.deliveries import MemoryDeliveries
from tests.fakes.memory.imports import MemoryImports
from tests.fakes.memory.mailboxes import MemoryMailboxes
from tests.fakes.memory.messages import MemoryMessages
from tests.fakes.memory.search import MemorySearch
from tests.fakes.memory.sessions import MemorySessions
from tests.fakes.memory.state import State
from tests.fakes.memory.traces import MemoryTraces
from tests.fakes.memory.upkeep import MemoryUpkeep

MAX_MESSAGE_OCTETS = 50 * 1024 * 1024


class MemoryStore(Store):
    """A whole store; `state` is what a test may look into.

    clock: seconds since 1970; it moves leases and dates, and nothing else.
    """

    __slots__ = ("state",)
    state: State

    def __init__(
        self, clock: Callable[[], float] = time.time, max_message_octets: int = MAX_MESSAGE_OCTETS
    ) -> None:
        state = State(clock, max_message_octets)
        object.__setattr__(self, "state", state)
        Store.__init__(
            self,
            accounts=MemoryAccounts(state),
            mailboxes=MemoryMailboxes(state),
            messages=MemoryMessages(state),
            search=MemorySearch(state),
            deliveries=MemoryDeliveries(state),
            imports=MemoryImports(state),
            changes=MemoryChanges(state),
            sessions=MemorySessions(state),
            traces=MemoryTraces(state),
            upkeep=MemoryUpkeep(state),
            aliases=MemoryAliases(state),
            credentials=MemoryCredentials(state),
        )
