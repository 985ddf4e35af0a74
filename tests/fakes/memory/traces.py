"""Traces in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.mail.errors import InvalidArgument
from services.mail.store.traces import MAX_RECORDED, Trace, address_of, message_id_of
from tests.fakes.memory.state import State


@dataclass(frozen=True, slots=True)
class MemoryTraces:
    """The port's Traces."""

    state: State

    async def record(self, traces: Sequence[Trace]) -> None:
        """Keeps them in their order."""
        if len(traces) > MAX_RECORDED:
            raise InvalidArgument("too many traces")
        self.state.traces += traces

    async def find(
        self,
        *,
        message_id: str = "",
        sender: str = "",
        recipient: str = "",
        letter_id: UUID | None = None,
        account_id: int = 0,
        most: int = 100,
    ) -> Sequence[Trace]:
        """The newest first."""
        wanted = (message_id_of(message_id), address_of(sender), address_of(recipient))
        if not any(wanted) and letter_id is None and not account_id:
            raise InvalidArgument("a letter goes by something")
        found = [
            self._now(each)
            for each in reversed(self.state.traces)
            if letter_id in (None, each.letter_id)
            and account_id in (0, each.account_id)
            and all(
                not word or word == own
                for word, own in zip(wanted, (each.message_id, each.sender, each.recipient), strict=True)
            )
        ]
        return sorted(found, key=lambda each: -each.at)[:most]

    def _now(self, trace: Trace) -> Trace:
        ledger = self.state.ledgers.get(trace.account_id)
        folder = ledger.folders.get(trace.mailbox_id) if ledger else None
        if ledger is not None:
            trace = replace(trace, account=ledger.account.address)
        if folder is None:
            return trace
        return replace(trace, mailbox=folder.mailbox.name, is_there=trace.uid in folder.live)
