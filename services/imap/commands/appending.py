"""APPEND: RFC 9051 §6.3.12."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session.state import State
from services.mail.errors import InvalidMessage, MessageTooLarge
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Response, append_uid
from services.mail.store.mailboxes import canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("APPEND", State.LOGGED_IN, has_target=True)
@dataclass(frozen=True, slots=True)
class Append:
    """APPEND: RFC 9051 §6.3.12. What can be refused is refused before the client sends the message.

    internal_at: seconds since 1970, or None for now. size: octets of the literal that follows.
    """

    target: str
    flags: tuple[str, ...]
    internal_at: int | None
    size: int

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        target = args.mailbox()
        flags = args.flags() if args.peek() == b"(" else ()
        internal_at = args.date_time() if args.peek() == b'"' else None
        return cls(target, flags, internal_at, args.message_size())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if self.size > session.door.settings.message_octets:
            raise MessageTooLarge
        if self.size == 0:
            raise InvalidMessage("A message has at least one octet")
        name = canonical_name(self.target)
        mailbox, _ = await session.store.mailboxes.status(session.account.account_id, name)
        appended = await session.store.messages.append(
            mailbox.key, session.incoming.message(), self.size, self.flags, self.internal_at, uuid4()
        )
        yield session.ok("APPEND completed", append_uid(appended.uid_validity, appended.uid))
