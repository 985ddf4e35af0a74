"""Deliveries: one letter to the mailboxes of its recipients: this part of the store's port.

The rule: a delivery that returned is durable, and takes effect once for its request id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol
from uuid import UUID

from services.mail.errors import MailError
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended, Body

# Copies that one delivery makes.
MOST_ADDRESSEES: Final = 1000


class Mode(Enum):
    """Whether a letter is taken only whole (SMTP has one reply), or by recipient (LMTP has one for each)."""

    ALL = auto()
    EACH = auto()


@dataclass(frozen=True, slots=True)
class Addressee:
    """One recipient.

    head: trace headers for this recipient only, complete lines, put in front of the content. dsn: the parameters of
    RFC 3461 §4 that came with the letter and this recipient, as SMTP writes them, or "".
    """

    mailbox: MailboxKey
    head: bytes = b""
    flags: Sequence[str] = ()
    dsn: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. size: octets of the body, or None where the body, an iterator, tells only by its end."""

    request_id: UUID
    addressees: Sequence[Addressee]
    body: Body
    size: int | None = None
    mode: Mode = Mode.ALL


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one recipient's copy is."""

    uid_validity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """An outcome per addressee, in their order. is_repeated: this request id had taken effect before."""

    outcomes: Sequence[Placed | MailError]
    is_repeated: bool


class Deliveries(Protocol):
    """Where letters come in."""

    async def deliver(self, letter: Letter) -> Delivered:
        """Stores a letter; it is durable when this returns. RFC 5321 §4.2.5, RFC 2033 §4.2.

        Mode ALL: either every copy is stored, or nothing and the first refusal is raised.
        Mode EACH: refusals are outcomes. An addressee twice in a letter gets two copies.
        Raises MailboxNotFound, OverQuota, MessageTooLarge, InvalidMessage.
        """
        ...

    async def settle(
        self, request_id: UUID, mailboxes: Sequence[MailboxKey]
    ) -> Sequence[Appended | MailError]:
        """What became of a `deliver` or an `append` whose answer was lost, for each of its mailboxes in their order.

        What has not taken effect by now never will: StoreUnavailable says so.
        """
        ...
