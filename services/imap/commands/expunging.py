"""EXPUNGE: RFC 9051 §6.4.3, RFC 7162 §3.2.7."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session.state import State
from services.mail.imap.arguments import Arguments
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Response

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("EXPUNGE", State.SELECTED, uid_form=True, capabilities=("UIDPLUS",))
@dataclass(frozen=True, slots=True)
class Expunge:
    """EXPUNGE: RFC 9051 §6.4.3; UID EXPUNGE: §6.4.9. Only messages that the client knows of go.

    What went is told with all other news, in front of the tagged answer, which says then how far that reaches.
    """

    messages: Numbers | None

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.numbers() if args.are_uids else None)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        selected = session.selected
        if not selected.is_writable:
            yield session.no("The mailbox is open for reading only", "READ-ONLY")
            return
        uids = selected.view.runs if self.messages is None else await session.uids(self.messages)
        if uids:
            key = selected.mailbox.key
            expunged = await session.store.messages.expunge(key, uids, request_id=uuid4())
            if expunged.uids:
                yield session.expunged("EXPUNGE completed")
                return
        yield session.ok("EXPUNGE completed")
