"""STORE: RFC 9051 §6.4.6."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from services.imap.registry import command
from services.imap.session.state import State
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Response
from services.mail.store.messages import FlagChange
from services.mail.store.uids import count

if TYPE_CHECKING:
    from services.imap.conversation import Session

_CHANGES: Final = {"FLAGS": FlagChange.REPLACE, "+FLAGS": FlagChange.ADD, "-FLAGS": FlagChange.REMOVE}


@command("STORE", State.SELECTED, uid_form=True, tells_expunges=False)
@dataclass(frozen=True, slots=True)
class Store:
    """STORE: RFC 9051 §6.4.6. Every message that lives is answered, changed or not, unless SILENT."""

    messages: Numbers
    change: FlagChange
    is_silent: bool
    flags: tuple[str, ...]

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        messages = args.numbers()
        item = args.atom("FLAGS")
        change = _CHANGES.get(item.removesuffix(".SILENT"))
        if change is None:
            raise ProtocolError("expected FLAGS, +FLAGS or -FLAGS")
        return cls(messages, change, item.endswith(".SILENT"), args.flags())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        selected = session.selected
        uids = selected.view.uids(self.messages)
        if not selected.is_writable:
            yield session.no("The mailbox is open for reading only", "READ-ONLY")
            return
        found = 0
        if uids:
            stored = await session.store.messages.store(selected.mailbox.key, uids, self.change, self.flags)
            found = len(stored.uids)
            session.updates.wrote(selected, stored, is_told=not self.is_silent)
            for news in session.updates.keywords(selected, stored.keywords):
                yield news
            if found and not self.is_silent:
                with_uids = self.messages.are_uids
                yield session.updates.flags(selected, stored.uids, stored.flags, stored.keywords, with_uids)
        if found < count(uids) and not self.messages.are_uids:
            yield session.no("Some of these messages are gone", "EXPUNGEISSUED")
        else:
            yield session.ok("STORE completed")
