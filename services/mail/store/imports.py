"""Imports: mail that comes from elsewhere, with the numbers that clients know it by: this part of the store's port.

The rule: a letter's key takes effect once, for as long as its mailbox is there and not for days only; whoever imports
again, after a crash or a month later, adds what was missing and nothing else.
"""

from collections.abc import AsyncIterable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from services.mail.errors import InvalidArgument, MailError
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Body
from services.mail.store.uids import LAST_UID

# Of one call, which is one transaction. Large bodies are not counted: they are written before it.
MAX_LETTERS: Final = 1000
MAX_OCTETS: Final = 16 * 1024 * 1024
MAX_KEYS: Final = 5000
# Of an answer about unique ids.
MAX_UNIQUE_IDS: Final = 5000
# Of a mailbox that was elsewhere: those that are made later have greater ones, and need room. RFC 9051 §2.3.1.1.
MAX_UID_VALIDITY: Final = LAST_UID - 2**20
# Of a message that was elsewhere: those that come later need room.
MAX_UID: Final = LAST_UID - 2**20


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from elsewhere. key: what it takes effect once by, in its mailbox. size: octets, exact.

    internal_at: seconds since 1970; None is now. uid: the one that it has, or 0 for the next that is free.
    unique_id: what POP3 told of it (RFC 1939 §7), kept with a uid only; "" where POP3 shall make its own.
    """

    key: UUID
    body: Body
    size: int
    flags: Collection[str] = ()
    internal_at: int | None = None
    uid: int = 0
    unique_id: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a message is, or was first put. is_repeated: its key had taken effect before."""

    uid: int
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class UniqueId:
    """What POP3 tells of a message instead of an id of its own making."""

    uid: int
    unique_id: str


class Imports(Protocol):
    """Where mail from elsewhere comes in."""

    async def renumber(self, mailbox: MailboxKey, uid_validity: int) -> None:
        """Gives a mailbox that never held a message another UIDVALIDITY. RFC 9051 §2.3.1.1.

        Nothing happens where it has it already. Another mailbox of the account that has it, and never held a message
        either, gets a new one. Raises MailboxNotFound, InvalidArgument, MailboxNotFresh: it held a message, or one that
        has this UIDVALIDITY did.
        """
        ...

    async def skip_uids(self, mailbox: MailboxKey, uid_next: int) -> None:
        """Has no message get a uid below `uid_next`; nothing happens where none would. RFC 9051 §2.3.1.1.

        Raises MailboxNotFound, InvalidArgument.
        """
        ...

    async def find_taken(self, mailbox: MailboxKey, keys: Sequence[UUID]) -> Sequence[bool]:
        """Whether each key has taken effect, of at most MAX_KEYS. Raises InvalidArgument."""
        ...

    async def add(self, mailbox: MailboxKey, letters: AsyncIterable[Incoming]) -> Sequence[Taken | MailError]:
        """Adds messages in one transaction, an outcome for each in their order; durable when this returns.

        At most MAX_LETTERS and MAX_OCTETS. Uids that are given rise; a body is read before the next letter is asked
        for.
        Refused each for itself: MessageTooLarge, InvalidMessage, OverQuota, LimitExceeded, InvalidArgument (flags,
        dates, a unique id), MailboxNotFresh (its uid, or a later one, was given already).
        Raises MailboxNotFound, InvalidArgument (too much, uids that do not rise).
        """
        ...

    async def unique_ids(self, mailbox: MailboxKey, after_uid: int = 0) -> Sequence[UniqueId]:
        """Those that were kept, ascending by uid, from behind `after_uid`; at most MAX_UNIQUE_IDS."""
        ...


class Bounds:
    """What one `add` may hold, counted as its letters come. Every implementation asks it first."""

    def __init__(self) -> None:
        self._letters = 0
        self._octets = 0
        self._last_uid = 0

    def check(self, letter: Incoming, inline_octets: int) -> None:
        """Raises InvalidArgument for the whole call."""
        self._letters += 1
        self._octets += letter.size if letter.size <= inline_octets else 0
        if self._letters > MAX_LETTERS or self._octets > MAX_OCTETS:
            raise InvalidArgument(f"at most {MAX_LETTERS} messages and {MAX_OCTETS} octets at once")
        if bool(letter.uid) != bool(self._last_uid) and self._letters > 1:
            raise InvalidArgument("either all messages have a uid or none")
        if letter.uid and not self._last_uid < letter.uid <= LAST_UID:
            raise InvalidArgument("uids rise, up to 4294967295")
        self._last_uid = letter.uid


def check_letter(letter: Incoming) -> None:
    """Raises InvalidArgument for one message: its uid, its date, or its unique id. RFC 1939 §7."""
    if letter.uid > MAX_UID:
        raise InvalidArgument("its uid leaves no room for later messages")
    if letter.internal_at is not None and not -(2**40) < letter.internal_at < 2**40:
        raise InvalidArgument("internal_at is out of range")
    if letter.unique_id:
        is_printable = all("!" <= char <= "~" for char in letter.unique_id)
        if not letter.uid or not is_printable or len(letter.unique_id) > 70:
            raise InvalidArgument("a unique id is 1 to 70 printable characters, of a message with a uid")


def check_uid_validity(uid_validity: int) -> None:
    """Raises InvalidArgument."""
    if not 1 <= uid_validity <= MAX_UID_VALIDITY:
        raise InvalidArgument(f"a UIDVALIDITY that can be kept is from 1 to {MAX_UID_VALIDITY}")
