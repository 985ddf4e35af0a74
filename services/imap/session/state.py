"""What a session is at this moment: data that another process could take up. RFC 9051 §3.

The rule: nothing here refers to the socket, and nothing here acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

from services.imap.session.view import View
from services.mail.store.accounts import Account
from services.mail.store.mailboxes import Mailbox


class State(Flag):
    """The states of RFC 9051 §3; a command names those in which it is allowed."""

    NOT_AUTHENTICATED = auto()
    AUTHENTICATED = auto()
    SELECTED = auto()
    LOGGED_IN = AUTHENTICATED | SELECTED
    ANY = NOT_AUTHENTICATED | LOGGED_IN


@dataclass(slots=True)
class Selected:
    """The selected mailbox; `is_writable` is false under EXAMINE."""

    mailbox: Mailbox
    is_writable: bool
    view: View


@dataclass(slots=True)
class SessionState:
    """Who is logged in, and which mailbox is selected."""

    account: Account | None = None
    selected: Selected | None = None
    is_ending: bool = False

    @property
    def now(self) -> State:
        """Which of the three states this is."""
        if self.account is None:
            return State.NOT_AUTHENTICATED
        return State.AUTHENTICATED if self.selected is None else State.SELECTED
