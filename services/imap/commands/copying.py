"""COPY, MOVE: RFC 9051 §6.4.7, §6.4.8."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session.state import State
from services.mail.imap.arguments import Arguments
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Response, Status, copy_uid
from services.mail.store.mailboxes import canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("COPY", State.SELECTED, uid_form=True, has_target=True)
@dataclass(frozen=True, slots=True)
class Copy:
    """COPY: RFC 9051 §6.4.7, RFC 4315 §3. All messages arrive, or none."""

    messages: Numbers
    target: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.numbers(), args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        uids, target = await session.uids(self.messages), canonical_name(self.target)
        if not uids:
            await session.store.mailboxes.status(session.account.account_id, target)
            yield session.ok("COPY completed, nothing to copy")
            return
        copied = await session.store.messages.copy(session.selected.mailbox.key, uids, target, uuid4())
        yield session.ok("COPY completed", copy_uid(copied.uid_validity, copied.sources, copied.targets))


@command("MOVE", State.SELECTED, uid_form=True, has_target=True, capabilities=("MOVE",))
@dataclass(frozen=True, slots=True)
class Move:
    """MOVE: RFC 9051 §6.4.8, RFC 6851 §3.3. Each message is in one mailbox or the other, and never in both.

    COPYUID comes first and untagged, so that the client knows the new uids before the old ones go.
    """

    messages: Numbers
    target: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.numbers(), args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        selected = session.selected
        uids, target = await session.uids(self.messages), canonical_name(self.target)
        if not selected.is_writable:
            yield session.no("The mailbox is open for reading only", "READ-ONLY")
            return
        if not uids:
            await session.store.mailboxes.status(session.account.account_id, target)
            yield session.ok("MOVE completed, nothing to move")
            return
        moved = await session.store.messages.move(selected.mailbox.key, uids, target, uuid4())
        if not moved.sources:
            yield session.ok("MOVE completed, nothing to move")
            return
        yield Status("OK", "Moved", copy_uid(moved.uid_validity, moved.sources, moved.targets))
        yield session.expunged("MOVE completed")
