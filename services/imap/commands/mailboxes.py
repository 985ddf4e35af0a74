"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. RFC 9051 §6.3.4.

The rule: a mailbox is its key and not its name, so whatever happens to the selected one is decided by that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from services.imap.registry import command
from services.imap.session.state import State
from services.mail.errors import ProtocolError, SpecialUseRefused
from services.mail.imap.arguments import Arguments
from services.mail.imap.responses import Listed, Response, Status
from services.mail.store.mailboxes import INBOX, SEPARATOR, SPECIAL_USES, canonical_name

if TYPE_CHECKING:
    from services.imap.conversation import Session

# Attributes have no case (RFC 9051 §7.3.1).
_USES: Final = {use.lower(): use for use in SPECIAL_USES}


@dataclass(frozen=True, slots=True)
class _Named:
    """What a command with one mailbox name as its argument knows."""

    name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox())


@command("CREATE", State.LOGGED_IN, capabilities=("CREATE-SPECIAL-USE",))
@dataclass(frozen=True, slots=True)
class Create:
    """CREATE: RFC 9051 §6.3.4, RFC 6154 §3. Missing superiors are made too. uses: as asked for."""

    name: str
    uses: tuple[str, ...]

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        name = args.mailbox()
        if args.is_at_end:
            return cls(name, ())
        parameters = args.list_of(lambda: _uses(args), "parameters")
        if len(parameters) != 1:
            raise ProtocolError("CREATE takes USE once")
        return cls(name, parameters[0])

    async def run(self, session: Session) -> AsyncIterator[Response]:
        name = canonical_name(self.name)
        if len(self.uses) > 1:
            raise SpecialUseRefused("A mailbox has one special use")
        use = _USES.get(self.uses[0].lower(), self.uses[0]) if self.uses else ""
        await session.store.mailboxes.create(session.account.account_id, name, use, uuid4())
        for told in _renamed(session, self.name, name):
            yield told
        yield session.ok("CREATE completed")


def _uses(args: Arguments) -> tuple[str, ...]:
    if args.atom("parameter") != "USE":
        raise ProtocolError("no such parameter of CREATE")
    return tuple(dict.fromkeys(args.list_of(args.attribute, "list of attributes")))


@command("DELETE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Delete(_Named):
    """DELETE: RFC 9051 §6.3.5. Other sessions that have it selected are told BYE. What has inferiors stays."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        name = canonical_name(self.name)
        deleted = await session.store.mailboxes.delete(session.account.account_id, name)
        selected = session.state.selected
        if selected is not None and selected.mailbox.key == deleted:
            session.state.selected = None
            yield Status("OK", "The selected mailbox is gone", "CLOSED")
        for told in _renamed(session, self.name, name, ("\\NonExistent",)):
            yield told
        yield session.ok("DELETE completed")


@command("RENAME", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Rename:
    """RENAME: RFC 9051 §6.3.6. INBOX stays, and its messages go to a new mailbox."""

    name: str
    new_name: str

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(args.mailbox(), args.mailbox())

    async def run(self, session: Session) -> AsyncIterator[Response]:
        name, new_name = canonical_name(self.name), canonical_name(self.new_name)
        await session.store.mailboxes.rename(session.account.account_id, name, new_name)
        if name != INBOX:
            for told in _renamed(session, self.name, new_name):
                yield told
        yield session.ok("RENAME completed")


def _renamed(
    session: Session, old_name: str, name: str, attributes: tuple[str, ...] = ()
) -> Sequence[Response]:
    """LIST with OLDNAME for IMAP4rev2, where a mailbox is not called what it was called. RFC 9051 §6.3.9.7."""
    if not session.state.is_rev2 or old_name.removesuffix(SEPARATOR) == name:
        return ()
    return (Listed(name, attributes, old_name=old_name, is_utf8=True),)


@command("SUBSCRIBE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Subscribe(_Named):
    """SUBSCRIBE: RFC 9051 §6.3.7. The name need not exist, and stays subscribed when its mailbox goes."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        await session.store.mailboxes.subscribe(session.account.account_id, canonical_name(self.name), True)
        yield session.ok("SUBSCRIBE completed")


@command("UNSUBSCRIBE", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Unsubscribe(_Named):
    """UNSUBSCRIBE: RFC 9051 §6.3.8."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        await session.store.mailboxes.subscribe(session.account.account_id, canonical_name(self.name), False)
        yield session.ok("UNSUBSCRIBE completed")
