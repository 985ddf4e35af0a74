"""Commands on a store, drawn at random, and their answers in a form in which two stores can be compared.

The rule: what may differ between two right stores is left out (account ids, uid validities, clocks), and nothing else.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from services.mail.errors import MailError
from services.mail.store.accounts import Account, Quota
from services.mail.store.changes import Change
from services.mail.store.deliveries import Delivered, Mode, Placed
from services.mail.store.flags import flag_names
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import FlagChange, Items
from services.mail.store.uids import from_masks, normalise
from tests.contract.subject import EVERY, Subject, letter

NAMES = ["INBOX", "inbox", "a", "a/b", "a/b/c", "b", "b/a", "c", "Sent"]
USES = ["", "", "\\Sent", "\\Junk", "\\All"]
FLAGS = ["\\Seen", "\\Deleted", "\\Flagged", "k1", "K1", *(f"x{number}" for number in range(70))]
EVERYTHING = (
    Items.FLAGS
    | Items.MODSEQ
    | Items.SIZE
    | Items.ENVELOPE
    | Items.STRUCTURE
    | Items.PARTS
    | Items.HEADER
    | Items.BODY
)

# INBOX, Sent, those that are made first, and one that seldom is.
boxes = st.sampled_from([1, 1, 1, 3, 7, 8, 9, 14])
names = st.sampled_from(NAMES)
uids = st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), max_size=4).map(normalise)
uid_sets = st.one_of(uids, st.just(EVERY))
flag_sets = st.one_of(
    st.lists(st.sampled_from(FLAGS[:5]), max_size=3), st.lists(st.sampled_from(FLAGS), max_size=8)
)
bodies = st.sampled_from([b"", b"x", b"Subject: y\r\n\r\nz\r\n", b"A: \0\r\n\r\n\xff"])
request_ids = st.one_of(st.none(), st.uuids(version=4))
modseqs = st.integers(0, 60)
changes = st.sampled_from(FlagChange)
mark_pairs = st.tuples(modseqs, st.integers(1, 150))

Command = tuple[Any, ...]

commands: st.SearchStrategy[Command] = st.one_of(
    st.tuples(st.just("append"), boxes, bodies, flag_sets, request_ids),
    st.tuples(
        st.just("deliver"), st.lists(boxes, min_size=1, max_size=5), bodies, st.sampled_from(Mode), st.uuids()
    ),
    st.tuples(st.just("fill"), boxes, st.integers(1, 70), st.uuids()),
    st.tuples(
        st.just("store"),
        boxes,
        uid_sets,
        st.sampled_from(FlagChange),
        flag_sets,
        st.none() | modseqs,
        request_ids,
    ),
    st.tuples(st.just("copy"), boxes, uid_sets, names, request_ids),
    st.tuples(st.just("move"), boxes, uid_sets, names, request_ids),
    st.tuples(st.just("expunge"), boxes, st.none() | uid_sets, st.booleans()),
    st.tuples(st.just("create"), names, st.sampled_from(USES), request_ids),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("subscribe"), names, st.booleans()),
    st.tuples(st.just("list"), st.sampled_from(["", "a", "a/", "b/", "S", "INBOX"]), st.booleans()),
    st.tuples(st.just("open"), names, st.booleans()),
    st.tuples(st.just("claim"), boxes, st.integers(1, 150)),
    st.tuples(st.just("sync"), boxes, mark_pairs),
    st.tuples(st.just("log"), modseqs, st.integers(20, 40)),
    st.tuples(st.just("quota"), st.sampled_from([0, 0, 40, 400]), st.sampled_from([0, 0, 3, 80])),
    st.tuples(st.just("trim")),
)


@dataclass
class Player:
    """Plays commands on one account of a store."""

    subject: Subject
    account: Account
    keywords: list[str] = field(default_factory=list)

    async def play(self, command: Command) -> object:
        """The answer, or the name of the refusal."""
        perform: Callable[..., Awaitable[object]] = getattr(self, f"_{command[0]}")
        try:
            return await perform(*command[1:])
        except MailError as refusal:
            return type(refusal).__name__

    async def state(self) -> object:
        """All that can be seen of the account."""
        store, account_id = self.subject.store, self.account.account_id
        listing = await store.mailboxes.list(account_id)
        found: list[object] = [sorted(listing.subscribed), await self._usage()]
        for mailbox in sorted(listing.mailboxes, key=lambda each: each.key):
            status = (await store.mailboxes.status(account_id, mailbox.name))[1]
            page = await self.subject.rows(mailbox.key, EVERY, EVERYTHING)
            flags = self._named(page.flags, page.keywords)
            columns = (page.modseqs, page.sizes, page.envelopes, page.structures, page.parts, page.heads)
            rows = [*zip(page.uids, flags, page.headers, page.bodies, *columns, strict=True)]
            live = await self._open(mailbox.name, False)
            found.append((mailbox.key.mailbox_id, mailbox.name, mailbox.special_use, status, live, rows))
        return found

    def _key(self, box: int) -> MailboxKey:
        return MailboxKey(self.account.account_id, box)

    def _named(self, flags: Any, keywords: Any) -> list[frozenset[str]]:
        # Without case: a refused write may have given a keyword its first spelling.
        return [frozenset(name.casefold() for name in flag_names(each, keywords)) for each in flags]

    async def _usage(self) -> tuple[int, int]:
        usage = await self.subject.store.accounts.usage(self.account.account_id)
        return usage.bytes, usage.messages

    async def _append(self, box: int, body: bytes, flags: list[str], request_id: UUID | None) -> object:
        messages = self.subject.store.messages
        added = await messages.append(self._key(box), body, len(body), flags, request_id=request_id)
        return added.uid, added.modseq, added.previous_modseq

    async def _deliver(self, to: list[int], body: bytes, mode: Mode, request_id: UUID) -> object:
        heads = [b"N: %d\r\n" % number if number % 2 else b"" for number in range(len(to))]
        sent = letter(*map(self._key, to), body=body, heads=heads, mode=mode, request_id=request_id)
        return _outcomes(await self.subject.store.deliveries.deliver(sent))

    async def _fill(self, box: int, copies: int, request_id: UUID) -> object:
        return await self._deliver([box] * copies, b"f", Mode.ALL, request_id)

    async def _store(
        self,
        box: int,
        asked: Any,
        change: FlagChange,
        flags: list[str],
        unchanged_since: int | None,
        request_id: UUID | None,
    ) -> object:
        messages = self.subject.store.messages
        stored = await messages.store(self._key(box), asked, change, flags, unchanged_since, request_id)
        flags_told = self._named(stored.flags, stored.keywords)
        rows = [*zip(stored.uids, flags_told, stored.modseqs, strict=True)]
        return rows, stored.changed, stored.modified, stored.previous_modseq, stored.highest_modseq

    async def _copy(self, box: int, asked: Any, target: str, request_id: UUID | None) -> object:
        copied = await self.subject.store.messages.copy(self._key(box), asked, target, request_id)
        return copied.sources, copied.targets

    async def _move(self, box: int, asked: Any, target: str, request_id: UUID | None) -> object:
        moved = await self.subject.store.messages.move(self._key(box), asked, target, request_id)
        return moved.sources, moved.targets

    async def _expunge(self, box: int, asked: Any, even_undeleted: bool) -> object:
        return await self.subject.store.messages.expunge(self._key(box), asked, even_undeleted)

    async def _create(self, name: str, use: str, request_id: UUID | None) -> object:
        made = await self.subject.store.mailboxes.create(self.account.account_id, name, use, request_id)
        return made.key.mailbox_id, made.name, made.special_use

    async def _delete(self, name: str) -> object:
        return (await self.subject.store.mailboxes.delete(self.account.account_id, name)).mailbox_id

    async def _rename(self, name: str, new_name: str) -> None:
        await self.subject.store.mailboxes.rename(self.account.account_id, name, new_name)

    async def _subscribe(self, name: str, is_subscribed: bool) -> None:
        await self.subject.store.mailboxes.subscribe(self.account.account_id, name, is_subscribed)

    async def _list(self, prefix: str, with_statuses: bool) -> object:
        found = await self.subject.store.mailboxes.list(self.account.account_id, prefix, with_statuses)
        rows = [(each.key.mailbox_id, each.name, each.special_use) for each in found.mailboxes]
        return rows, list(found.subscribed), list(found.statuses)

    async def _open(self, name: str, claims_recent: bool) -> object:
        opened = await self.subject.store.mailboxes.open(self.account.account_id, name, claims_recent)
        return from_masks(opened.blocks, opened.masks), opened.first_recent, opened.status.uid_next

    async def _claim(self, box: int, uid_next: int) -> object:
        found = (await self.subject.store.mailboxes.sync(self._key(box), 2**40, 1)).status
        return await self.subject.store.mailboxes.claim_recent(self._key(box), min(uid_next, found.uid_next))

    async def _sync(self, box: int, marks: tuple[int, int]) -> object:
        delta = await self.subject.store.mailboxes.sync(self._key(box), *marks)
        rows = [*zip(delta.uids, self._named(delta.flags, delta.keywords), delta.modseqs, strict=True)]
        return delta.status, delta.added, delta.expunged, rows

    async def _log(self, since: int, limit: int) -> object:
        found = await self.subject.store.changes.list(self.account.account_id, since, limit)
        return sorted(map(_change, found))

    async def _quota(self, octets: int, messages: int) -> None:
        await self.subject.store.accounts.set_quota(self.account.account_id, Quota(octets, messages))

    async def _trim(self) -> None:
        await self.subject.trim(self.account.account_id)


def _outcomes(delivered: Delivered) -> object:
    told = [each.uid if isinstance(each, Placed) else type(each).__name__ for each in delivered.outcomes]
    return told, delivered.is_repeated


def _change(change: Change) -> tuple[object, ...]:
    return change.modseq, change.mailbox_id, change.kind, change.uids
