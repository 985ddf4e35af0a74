"""LIST, LSUB, STATUS, NAMESPACE: which mailboxes there are. RFC 9051 §6.3.9."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.imap.registry import WithoutArguments, command
from services.imap.session.state import State
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.names import Pattern
from services.mail.imap.responses import Counted, Listed, Response, Untagged, attributes
from services.mail.store.mailboxes import SEPARATOR, MailboxStatus, canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session


@command("LIST", State.LOGGED_IN, capabilities=("CHILDREN",))
@dataclass(frozen=True, slots=True)
class List:
    """LIST: RFC 9051 §6.3.9, RFC 3348 §3. The reference is put in front of the pattern."""

    reference: str
    pattern: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox(), args.list_mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if not self.pattern:
            yield Listed("", ("\\Noselect",))
            yield session.ok("LIST completed")
            return
        pattern = Pattern(self.reference + self.pattern)
        listing = await session.store.mailboxes.list(session.account.account_id)
        parents = _parents(mailbox.name for mailbox in listing.mailboxes)
        for mailbox in listing.mailboxes:
            if pattern.matches(mailbox.name):
                yield Listed(mailbox.name, attributes(mailbox, mailbox.name in parents))
        yield session.ok("LIST completed")


@command("LSUB", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Lsub:
    """LSUB: RFC 3501 §6.3.9. A parent that only `%` reaches is \\Noselect where it is not subscribed itself."""

    reference: str
    pattern: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox(), args.list_mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        pattern = Pattern(self.reference + self.pattern)
        subscribed = set((await session.store.mailboxes.list(session.account.account_id)).subscribed)
        found: dict[str, tuple[str, ...]] = {name: () for name in subscribed if pattern.matches(name)}
        if self.pattern.endswith("%"):
            unmatched = subscribed - found.keys()
            found |= {
                name: ("\\Noselect",) for name in _parents(unmatched) - subscribed if pattern.matches(name)
            }
        for name in sorted(found):
            yield Listed(name, found[name], b"LSUB")
        yield session.ok("LSUB completed")


def _parents(names: Iterable[str]) -> set[str]:
    """Every name that stands above one of these."""
    parents: set[str] = set()
    for name in names:
        above = name.rpartition(SEPARATOR)[0]
        while above and above not in parents:
            parents.add(above)
            above = above.rpartition(SEPARATOR)[0]
    return parents


@command("STATUS", State.LOGGED_IN, capabilities=("STATUS=SIZE",))
@dataclass(frozen=True, slots=True)
class Counters:
    """STATUS: RFC 9051 §6.3.11, RFC 8438 §2."""

    name: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        name = args.mailbox()
        words = args.list_of(lambda: args.atom("counter"), "list of counters")
        if not words or not set(words) <= _COUNTERS:
            raise ProtocolError("no such STATUS item")
        return cls(name, tuple(dict.fromkeys(words)))

    async def run(self, session: Session) -> AsyncIterator[Response]:
        name = canonical_name(self.name)
        mailbox, status = await session.store.mailboxes.status(session.account.account_id, name)
        yield Counted(name, [(word, _counter(word, mailbox.uid_validity, status)) for word in self.words])
        yield session.ok("STATUS completed")


_COUNTERS = {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE"}


def _counter(word: str, uid_validity: int, status: MailboxStatus) -> int:
    if word == "UIDVALIDITY":
        return uid_validity
    if word == "RECENT":  # those expunged since are not told apart, so it may be a little high
        return min(status.messages, max(0, status.uid_next - status.first_recent))
    return {
        "MESSAGES": status.messages,
        "UIDNEXT": status.uid_next,
        "UNSEEN": status.unseen,
        "DELETED": status.deleted,
        "SIZE": status.size,
    }[word]


@command("NAMESPACE", State.LOGGED_IN, capabilities=("NAMESPACE",))
@dataclass(frozen=True, slots=True)
class Namespace(WithoutArguments):
    """NAMESPACE: RFC 2342 §5. One personal namespace without a prefix."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        yield Untagged(f'NAMESPACE (("" "{SEPARATOR}")) NIL NIL')
        yield session.ok("NAMESPACE completed")
