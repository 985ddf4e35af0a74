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


class Extension(Flag):
    """What a client enabled, by ENABLE or by a command that implies it; it stays until the connection ends."""

    NOTHING = 0
    CONDSTORE = auto()  # RFC 7162 §3.1: FETCH that was not asked for brings UID and MODSEQ
    QRESYNC = auto()  # RFC 7162 §3.2.3: VANISHED instead of EXPUNGE
    IMAP4REV2 = auto()  # RFC 9051: no \\Recent, ESEARCH, names in UTF-8


@dataclass(slots=True)
class Selected:
    """The selected mailbox; `is_writable` is false under EXAMINE."""

    mailbox: Mailbox
    is_writable: bool
    view: View


@dataclass(slots=True)
class SessionState:
    """Who is logged in, which mailbox is selected, and what was enabled. idling: the tag of IDLE while it runs."""

    account: Account | None = None
    selected: Selected | None = None
    enabled: Extension = Extension.NOTHING
    idling: bytes = b""
    is_ending: bool = False

    @property
    def now(self) -> State:
        """Which of the three states this is."""
        if self.account is None:
            return State.NOT_AUTHENTICATED
        return State.AUTHENTICATED if self.selected is None else State.SELECTED

    @property
    def tells_modseqs(self) -> bool:
        """Whether FETCH that was not asked for brings UID and MODSEQ. RFC 7162 §3.2.4."""
        return bool(self.enabled & Extension.CONDSTORE)

    @property
    def tells_vanished(self) -> bool:
        """Whether VANISHED stands for EXPUNGE. RFC 7162 §3.2.10."""
        return bool(self.enabled & Extension.QRESYNC)

    @property
    def is_rev2(self) -> bool:
        """Whether IMAP4rev2 is spoken. RFC 9051 §6.3.1."""
        return bool(self.enabled & Extension.IMAP4REV2)
