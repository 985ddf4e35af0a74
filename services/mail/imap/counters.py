"""A mailbox's counters as STATUS names them. RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 7889 §3.1, RFC 8438 §2."""

from __future__ import annotations

from typing import Final

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.store.mailboxes import Mailbox, MailboxStatus

COUNTERS: Final = frozenset(
    {
        "MESSAGES",
        "RECENT",
        "UIDNEXT",
        "UIDVALIDITY",
        "UNSEEN",
        "DELETED",
        "SIZE",
        "HIGHESTMODSEQ",
        "APPENDLIMIT",
    }
)


def read_counters(args: Arguments) -> tuple[str, ...]:
    """The parenthesized words, once each. Raises ProtocolError."""
    words = args.list_of(lambda: args.atom("counter"), "list of counters")
    if not words or not COUNTERS.issuperset(words):
        raise ProtocolError("no such STATUS item")
    return tuple(dict.fromkeys(words))


def counted(
    words: tuple[str, ...], mailbox: Mailbox, status: MailboxStatus, append_limit: int
) -> list[tuple[str, int | str]]:
    """The counters that were asked for, in that order. append_limit: octets of the largest message that is taken."""
    values: dict[str, int] = {
        "MESSAGES": status.messages,
        # Those expunged since are not told apart, so it may be a little high.
        "RECENT": min(status.messages, max(0, status.uid_next - status.first_recent)),
        "UIDNEXT": status.uid_next,
        "UIDVALIDITY": mailbox.uid_validity,
        "UNSEEN": status.unseen,
        "DELETED": status.deleted,
        "SIZE": status.size,
        "HIGHESTMODSEQ": status.highest_modseq,
        "APPENDLIMIT": append_limit,
    }
    return [(word, values[word]) for word in words]
