"""A session as a value: what another process needs to go on where this one stopped.

The rule: it holds what the client was told and nothing that the store knows. Which messages have which number follows
from the marks: what lives below `uid_next_told`, and what went after `expunged_to` and was told before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from services.imap.session.folders import Folders
from services.imap.session.resync import reopened
from services.imap.session.state import Extension, Selected, SessionState
from services.imap.session.view import View
from services.mail.errors import AccountDisabled, MailboxNotFound
from services.mail.store import Store
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.uids import Runs, between, from_masks, subtract, union

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What the client was told of the selected mailbox; the fields are those of `View`.

    keywords: how many of the account's it knows.
    """

    mailbox_id: int
    is_writable: bool
    uid_next_told: int
    expunged_to: int
    flags_to: int
    keywords: int
    own: tuple[int, ...]
    recent: Runs
    saved: Runs
    skipped: Runs


@dataclass(frozen=True, slots=True)
class Token:
    """A logged-in session between two commands, or in IDLE. enabled: `Extension` as a number; idling: IDLE's tag."""

    account_id: int
    address: str
    enabled: int
    idling: str
    told: Told | None

    @classmethod
    def of(cls, state: SessionState) -> Token:
        """The token of somebody who is logged in."""
        assert state.account is not None
        told = None
        if (selected := state.selected) is not None:
            view = selected.view
            told = Told(
                mailbox_id=selected.mailbox.key.mailbox_id,
                is_writable=selected.is_writable,
                uid_next_told=view.uid_next_told,
                expunged_to=view.expunged_to,
                flags_to=view.flags_to,
                keywords=len(view.keywords),
                own=tuple(sorted(view.own)),
                recent=view.recent,
                saved=view.saved,
                skipped=view.skipped,
            )
        account = state.account
        return cls(account.account_id, account.address, state.enabled.value, state.idling.decode(), told)

    def encode(self) -> bytes:
        """Octets that `decode` reads, in this version of the program and the next."""
        told = self.told and [getattr(self.told, name) for name in Told.__slots__]
        fields = [VERSION, self.account_id, self.address, self.enabled, self.idling, told]
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, octets: bytes) -> Token:
        """Raises ValueError for what is no token of this version."""
        try:
            version, account_id, address, enabled, idling, fields = json.loads(octets)
            told = None if fields is None else Told(*map(_frozen, fields))
        except (TypeError, ValueError) as error:
            raise ValueError("not a session's token") from error
        if version != VERSION:
            raise ValueError("a session's token of another version")
        return cls(account_id, address, enabled, idling, told)


async def resume(store: Store, token: Token, folders: Folders) -> SessionState:
    """The state of the session whose token this is; the next catch-up tells what has happened since.

    folders: those of the process that takes it up.
    Raises AccountUnknown, AccountDisabled, MailboxNotFound; BehindFloor where the log no longer tells what went.
    """
    account = await store.accounts.find_account(token.address)
    if account.account_id != token.account_id or not account.is_enabled:
        raise AccountDisabled
    state = SessionState(account, enabled=Extension(token.enabled), idling=token.idling.encode())
    if token.told is not None:
        key = MailboxKey(token.account_id, token.told.mailbox_id)
        state.selected = await _selected(store, key, token.told, folders)
    return state


async def _selected(store: Store, key: MailboxKey, told: Told, folders: Folders) -> Selected:
    opened = await reopened(store, key)
    if opened is None:
        raise MailboxNotFound
    # Asked after what lives: what goes in between is in both, and nothing is in neither.
    delta = await store.mailboxes.sync(key, told.expunged_to, told.uid_next_told)
    live = between(from_masks(opened.blocks, opened.masks), 1, told.uid_next_told - 1)
    runs = union(live, subtract(delta.expunged, told.skipped))
    keywords = opened.keywords[: told.keywords]
    view = View(runs, told.uid_next_told, told.expunged_to, keywords, share=folders.sharing(key))
    view.flags_to = told.flags_to
    view.own = frozenset(told.own)
    view.recent, view.saved, view.skipped = told.recent, told.saved, told.skipped
    return Selected(opened.mailbox, told.is_writable, view)


def _frozen(value: Any) -> Any:
    """JSON's lists as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
