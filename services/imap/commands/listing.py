"""LIST, LSUB, NAMESPACE: which mailboxes there are. RFC 9051 §6.3.9."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from services.imap.commands.counting import counters_of, notes_modseqs
from services.imap.registry import WithoutArguments, command
from services.imap.session.state import State
from services.mail.imap import listing
from services.mail.imap.arguments import Arguments
from services.mail.imap.listing import Found, Options, Selector
from services.mail.imap.responses import Listed, Response, Untagged
from services.mail.store.mailboxes import SEPARATOR

if TYPE_CHECKING:
    from services.imap.conversation import Session

# Names that are looked at before other sessions have their turn.
_TURN: Final = 64


@command(
    "LIST",
    State.LOGGED_IN,
    capabilities=("CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE"),
)
@dataclass(frozen=True, slots=True)
class List:
    """LIST: RFC 9051 §6.3.9, RFC 5258 §3, RFC 5819 §2, RFC 6154 §2. The reference is put in front of each pattern.

    patterns: None for those that no name can match. is_extended: `""` then asks for nothing (RFC 9051 §6.3.9).
    """

    reference: str | None
    patterns: tuple[str | None, ...]
    options: Options
    is_extended: bool

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        is_extended = args.peek() == b"("
        selection = listing.read_selection(args) if is_extended else frozenset[str]()
        reference = listing.read_name(args)
        if args.peek() == b"(":
            is_extended = True
            patterns = args.list_of(lambda: listing.read_name(args, is_pattern=True), "mailbox patterns")
        else:
            patterns = [listing.read_name(args, is_pattern=True)]
        returned, counters = frozenset[str](), tuple[str, ...]()
        if not args.is_at_end:
            is_extended = True
            returned, counters = listing.read_returned(args)
        return cls(reference, tuple(patterns), Options(selection, returned, counters), is_extended)

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if self.patterns == ("",) and not self.is_extended:
            yield Listed("", ("\\Noselect",))
            yield session.ok("LIST completed")
            return
        options, is_utf8 = self.options, session.state.is_rev2
        for told in notes_modseqs(session, options.counters):
            yield told
        if patterns := listing.patterns_of(self.reference, self.patterns):
            found = await session.store.mailboxes.list(
                session.account.account_id, listing.prefix_of(patterns), with_statuses=bool(options.counters)
            )
            async for each in in_turns(Selector(found, patterns, options).found()):
                yield Listed(each.name, each.attributes, criteria=each.criteria, is_utf8=is_utf8)
                if options.counters and each.mailbox is not None and each.is_selected:
                    status = found.statuses[each.place]
                    yield counters_of(session, options.counters, each.mailbox, status)
        yield session.ok("LIST completed")


@command("LSUB", State.LOGGED_IN)
@dataclass(frozen=True, slots=True)
class Lsub:
    """LSUB: RFC 3501 §6.3.9. A parent that only `%` reaches is \\Noselect where it is not subscribed itself."""

    reference: str | None
    pattern: str | None

    @classmethod
    def parse(cls, args: Arguments) -> Self:
        return cls(listing.read_name(args), listing.read_name(args, is_pattern=True))

    async def run(self, session: Session) -> AsyncIterator[Response]:
        if self.pattern and (patterns := listing.patterns_of(self.reference, (self.pattern,))):
            prefix = listing.prefix_of(patterns)
            subscribed = (await session.store.mailboxes.list(session.account.account_id, prefix)).subscribed
            with_parents = self.pattern.endswith("%")
            async for each in in_turns(listing.select_lsub(subscribed, patterns, with_parents)):
                yield Listed(each.name, each.attributes, b"LSUB", is_utf8=session.state.is_rev2)
        yield session.ok("LSUB completed")


async def in_turns(found: Iterable[Found | None]) -> AsyncIterator[Found]:
    """What is found; others have their turn while it is looked for."""
    for number, each in enumerate(found, 1):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        if each is not None:
            yield each


@command("NAMESPACE", State.LOGGED_IN, capabilities=("NAMESPACE",))
@dataclass(frozen=True, slots=True)
class Namespace(WithoutArguments):
    """NAMESPACE: RFC 2342 §5. One personal namespace without a prefix."""

    async def run(self, session: Session) -> AsyncIterator[Response]:
        yield Untagged(f'NAMESPACE (("" "{SEPARATOR}")) NIL NIL')
        yield session.ok("NAMESPACE completed")
