"""Mailboxes on PostgreSQL. The rule: no number and no uid_validity is ever used again."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from services.mail.errors import (
    AccountUnknown,
    BehindFloor,
    HasChildren,
    InvalidName,
    LimitExceeded,
    MailboxExists,
    MailboxNotFound,
    SpecialUseRefused,
)
from services.mail.store.mailboxes import (
    INBOX,
    MAX_DEPTH,
    MAX_NAME_OCTETS,
    SEPARATOR,
    Delta,
    Listing,
    Mailbox,
    MailboxKey,
    MailboxStatus,
    Opened,
    canonical_name,
    check_special_use,
    superiors,
)
from services.mail.store.uids import BLOCK, FULL, LAST_UID, between, from_masks
from services.plumbing.turns import beside
from services.storage.arrays import Bigints, Texts
from services.storage.mailboxes import statements
from services.storage.messages.keywords import join
from services.storage.runs import from_multirange
from services.storage.transaction import ConnectionLost, Database, Row, Statement

MAX_MAILBOXES: Final = 10_000
# Names outlive their mailboxes, so more of them than of those.
MAX_SUBSCRIPTIONS: Final = 20_000
_LAST: Final = "\U0010ffff"
_FULL: Final = f"an account has at most {MAX_MAILBOXES} mailboxes"


class PostgresMailboxes:
    """Implements `services.mail.store.mailboxes.Mailboxes`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, account_id: int, prefix: str = "", with_statuses: bool = False) -> Listing:
        """See the port."""
        values = {"account_id": account_id, "first": prefix, "end": _end_of(prefix)}
        rows = await self._database.read(
            statements.LIST_STATUSES if with_statuses else statements.LIST, values
        )
        found = [row for row in rows if row[0] is not None]
        return Listing(
            [_mailbox(account_id, row) for row in found],
            [row[-1] for row in rows if row[-1] is not None],
            [MailboxStatus(*row[5:12]) for row in found] if with_statuses else (),
        )

    async def create(
        self, account_id: int, name: str, special_use: str = "", request_id: UUID | None = None
    ) -> Mailbox:
        """See the port."""
        # With an id of its own, a create whose answer was lost on the way is settled, not refused.
        step = _create(account_id, canonical_name(name), special_use, request_id or uuid4())
        find = (statements.MADE, {"account_id": account_id, "request_id": step[1]["request_id"]})
        try:
            (verdict,), found = await self._database.transact([account_id], step, find)
        except ConnectionLost:
            (verdict,), found = await self._database.transact([account_id], step, find)
        _check_created(verdict)
        if not found:
            raise MailboxNotFound
        return _mailbox(account_id, found[0])

    async def delete(self, account_id: int, name: str) -> MailboxKey:
        """See the port."""
        name = canonical_name(name)
        if name == INBOX:
            raise InvalidName("INBOX stays")
        values = {"account_id": account_id, "name": name}
        rows = (await self._database.transact([account_id], (statements.DELETE, values)))[0]
        if not rows:
            raise MailboxNotFound
        mailbox_id, has_children = rows[0]
        if has_children:
            raise HasChildren
        return MailboxKey(account_id, mailbox_id)

    async def rename(self, account_id: int, name: str, new_name: str) -> None:
        """See the port. Renaming INBOX moves its messages to a new mailbox and leaves its inferiors."""
        name, new_name = canonical_name(name), canonical_name(new_name)
        if new_name in (INBOX, name):
            raise MailboxExists
        if name == INBOX:
            await self._rename_inbox(account_id, new_name)
            return
        if new_name.startswith(name + SEPARATOR):
            raise InvalidName("a mailbox cannot go below itself")
        values = {
            "account_id": account_id,
            "name": name,
            "new_name": new_name,
            "superiors": Texts(superiors(new_name)),
            "limit": MAX_MAILBOXES,
            "max_octets": MAX_NAME_OCTETS,
            "max_depth": MAX_DEPTH,
        }
        rows = (await self._database.transact([account_id], (statements.RENAME, values)))[0]
        is_there, is_taken, is_too_long, is_full = rows[0]
        if not is_there:
            raise MailboxNotFound
        if is_taken:
            raise MailboxExists
        if is_too_long:
            raise InvalidName(f"at most {MAX_DEPTH} levels and {MAX_NAME_OCTETS} octets")
        if is_full:
            raise LimitExceeded(_FULL)

    async def _rename_inbox(self, account_id: int, new_name: str) -> None:
        # INBOX is neither renamed nor deleted, so its number holds until the transaction.
        inbox, _ = await self.status(account_id, INBOX)
        made_by = uuid4()
        values: dict[str, Any] = {
            **_key(inbox.key),
            "blocks": Bigints(),
            "masks": Bigints(),
            "made_by": made_by,
            "request_id": None,
        }
        copy = {**values, "is_moving": True, "target": new_name}
        empty = {**values, "even_undeleted": True, "epoch": 0}
        (verdict,), *_ = await self._database.transact(
            [account_id],
            _create(account_id, new_name, "", made_by),
            (statements.COPY_INBOX, copy),
            (statements.EMPTY_INBOX, empty),
        )
        _check_created(verdict)

    async def subscribe(self, account_id: int, name: str, is_subscribed: bool) -> None:
        """See the port."""
        values = {"account_id": account_id, "name": canonical_name(name)}
        if not is_subscribed:
            await self._database.write(statements.UNSUBSCRIBE, values)
            return
        rows = await self._database.write(statements.SUBSCRIBE, {**values, "limit": MAX_SUBSCRIPTIONS})
        if not rows[0][0]:
            raise LimitExceeded(f"an account subscribes to at most {MAX_SUBSCRIPTIONS} names")

    async def status(self, account_id: int, name: str) -> tuple[Mailbox, MailboxStatus]:
        """See the port."""
        values = {"account_id": account_id, "name": canonical_name(name)}
        rows = await self._database.read(statements.STATUS, values)
        if not rows:
            raise MailboxNotFound
        return _mailbox(account_id, rows[0]), MailboxStatus(*rows[0][5:12])

    async def open(self, account_id: int, name: str, claims_recent: bool) -> Opened:
        """See the port."""
        values = {"account_id": account_id, "name": canonical_name(name)}
        rows = await self._database.read(statements.OPEN, values)
        if not rows:
            raise MailboxNotFound
        row = rows[0]
        mailbox, status = _mailbox(account_id, row), MailboxStatus(*row[5:12])
        first_recent = status.first_recent
        if claims_recent and first_recent < status.uid_next:
            # Up to what this snapshot shows, so that whoever comes later is recent to somebody.
            first_recent = await self.claim_recent(mailbox.key, status.uid_next)
        return Opened(
            mailbox=mailbox,
            status=status,
            blocks=row[12] or [],
            masks=[mask & FULL for mask in row[13] or []],
            keywords=row[14],
            first_recent=first_recent,
            first_unseen=row[15] or 0,
        )

    async def claim_recent(self, mailbox: MailboxKey, uid_next: int) -> int:
        """See the port."""
        rows = await self._database.write(statements.CLAIM_RECENT, {**_key(mailbox), "uid_next": uid_next})
        if not rows:
            raise MailboxNotFound
        return int(rows[0][0])

    async def highest_modseq(self, mailbox: MailboxKey) -> int:
        """See the port."""
        rows = await self._database.read(statements.HIGHEST_MODSEQ, _key(mailbox))
        if not rows:
            raise MailboxNotFound
        return int(rows[0][0])

    async def sync(self, mailbox: MailboxKey, since: int, uid_next: int) -> Delta:
        """See the port."""
        uid_next = min(max(uid_next, 1), LAST_UID + 1)
        values = {**_key(mailbox), "since": since, "uid_next": uid_next}
        rows = await self._database.read(statements.SYNC, values)
        if not rows:
            raise MailboxNotFound
        return await beside(len(rows[0][11] or ()) + len(rows[0][8] or ()), _delta, rows[0], since, uid_next)


def _delta(row: Row, since: int, uid_next: int) -> Delta:
    log_floor, blocks, masks, expunged, uids, flags, modseqs, more, keywords = row[7:]
    if since < log_floor:
        raise BehindFloor
    added = from_masks(blocks or [], masks or [])
    return Delta(
        status=MailboxStatus(*row[:7]),
        added=between(added, uid_next, LAST_UID),
        expunged=between(from_multirange(expunged), 1, uid_next - 1),
        uids=uids or [],
        flags=_with_late(uids or [], flags or [], more or {}),
        modseqs=modseqs or [],
        keywords=keywords,
    )


def _with_late(uids: Sequence[int], flags: Sequence[int], more: dict[str, dict[str, int]]) -> Sequence[int]:
    """Flags as the port has them. more: the later keywords of some blocks."""
    if not more and min(flags, default=0) >= 0:
        return flags
    return [
        join(bits, more.get(str((uid - 1) // BLOCK)), (uid - 1) % BLOCK)
        for uid, bits in zip(uids, flags, strict=True)
    ]


def _create(
    account_id: int, name: str, special_use: str, request_id: UUID
) -> tuple[Statement, dict[str, Any]]:
    check_special_use(special_use)
    values = {
        "account_id": account_id,
        "names": Texts([*superiors(name), name]),
        "name": name,
        "special_use": special_use,
        "limit": MAX_MAILBOXES,
        "request_id": request_id,
    }
    return statements.CREATE, values


def _check_created(verdict: Row) -> None:
    is_account, is_seen, is_there, is_full, is_used = verdict
    if not is_account:
        raise AccountUnknown
    if is_seen:
        return
    if is_there:
        raise MailboxExists
    if is_full:
        raise LimitExceeded(_FULL)
    if is_used:
        raise SpecialUseRefused


def _key(mailbox: MailboxKey) -> dict[str, Any]:
    return {"account_id": mailbox.account_id, "mailbox_id": mailbox.mailbox_id}


def _mailbox(account_id: int, row: Row) -> Mailbox:
    return Mailbox(MailboxKey(account_id, row[0]), row[1], row[2], row[3], row[4])


def _end_of(prefix: str) -> str:
    """The first name, by code point, behind all those that begin so."""
    rest = prefix.rstrip(_LAST)
    if not rest:
        return _LAST * (MAX_NAME_OCTETS // 4 + 1)
    following = ord(rest[-1]) + 1
    return rest[:-1] + chr(0xE000 if 0xD800 <= following < 0xE000 else following)
