"""Traces on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final
from uuid import UUID

from services.mail.errors import InvalidArgument
from services.mail.store.traces import MAX_RECORDED, Trace, TraceKind, address_of, message_id_of
from services.storage.traces import statements
from services.storage.traces.recorder import Recorder, columns
from services.storage.transaction import Database

# What FIND answers behind the kind.
FIELDS: Final = tuple(field.name for field in fields(Trace))[1:]


class PostgresTraces:
    """Implements `services.mail.store.traces.Traces`."""

    def __init__(self, database: Database, recorder: Recorder) -> None:
        self._database = database
        self._recorder = recorder

    async def record(self, traces: Sequence[Trace]) -> None:
        """See the port."""
        if len(traces) > MAX_RECORDED:
            raise InvalidArgument(f"at most {MAX_RECORDED} traces at once")
        if traces:
            await self._database.write(statements.INSERT, columns(traces))

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
        """See the port."""
        values = {
            "message_id": message_id_of(message_id),
            "sender": address_of(sender),
            "recipient": address_of(recipient),
            "letter_id": letter_id,
            "of_account": account_id,
            "most": most,
        }
        if letter_id is not None:
            statement = statements.FIND_LETTER
        elif account_id:
            statement = statements.FIND_ACCOUNT
        elif values["message_id"]:
            statement = statements.FIND_MESSAGE_ID
        elif values["recipient"]:
            statement = statements.FIND_RECIPIENT
        elif values["sender"]:
            statement = statements.FIND_SENDER
        else:
            raise InvalidArgument("a letter goes by its Message-ID, its sender or its recipient")
        await self._recorder.flush()
        rows = await self._database.read(statement, values)
        return [Trace(kind=TraceKind(kind), **dict(zip(FIELDS, row, strict=True))) for kind, *row in rows]
