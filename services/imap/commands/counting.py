"""STATUS, and the counters that LIST returns: how much a mailbox holds without opening it. RFC 9051 §6.3.11."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.imap.registry import command
from services.imap.session.state import Extension, State
from services.mail.imap.arguments import Arguments
from services.mail.imap.counters import counted, read_counters
from services.mail.imap.responses import Counted, Response
from services.mail.store.mailboxes import Mailbox, MailboxStatus, canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("STATUS", State.LOGGED_IN, capabilities=("STATUS=SIZE",))
@dataclass(frozen=True, slots=True)
class Counters:
    """STATUS: RFC 9051 §6.3.11, RFC 8438 §2, RFC 7889 §3.1."""

    name: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox(), read_counters(args))

    async def run(self, session: Session) -> AsyncIterator[Response]:
        for told in notes_modseqs(session, self.words):
            yield told
        name = canonical_name(self.name)
        mailbox, status = await session.store.mailboxes.status(session.account.account_id, name)
        yield counters_of(session, self.words, mailbox, status)
        yield session.ok("STATUS completed")


def notes_modseqs(session: Session, words: Sequence[str]) -> Sequence[Response]:
    """Who asks for HIGHESTMODSEQ has enabled CONDSTORE; answers what that tells. RFC 7162 §3.1."""
    return session.updates.enable(Extension.CONDSTORE) if "HIGHESTMODSEQ" in words else ()


def counters_of(
    session: Session, words: tuple[str, ...], mailbox: Mailbox, status: MailboxStatus
) -> Response:
    """The counters of one mailbox, for this client."""
    limit = session.door.settings.message_octets
    return Counted(mailbox.name, counted(words, mailbox, status, limit), session.state.is_rev2)
