"""Every refusal, and how each protocol words it: one table.

Three kinds of error exist. A `MailError` is a refusal that the requester should hear. A `ProtocolError` means that the
peer broke the grammar; it never crosses gRPC. Anything else is a bug: a traceback in the log and a neutral, temporary
reply to the client. The rule: a door never words a refusal itself; it looks it up here. `docs/errors.md` is generated
from this table, and the class name travels in a gRPC trailer, so that a client raises the class that a server raised.
"""

from dataclasses import dataclass
from typing import Final


class MailError(Exception):
    """A refusal that the requester should hear. `detail` is one line for people, without secrets."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def text(self) -> str:
        """The detail, or the table's own words where none was given."""
        return self.detail or wording(self).text


class ProtocolError(Exception):
    """The peer broke the grammar of its protocol. `detail` says where, in one line."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadCredentials(MailError):
    """No such login, or not its password; the two are never told apart."""


class NotPermitted(MailError):
    """The caller is known and may not do this."""


class AuthenticationRequired(MailError):
    """Nobody has logged in."""


class PrivacyRequired(MailError):
    """A password was about to travel in plain text."""


class AccountDisabled(MailError):
    """The account exists and is closed for now."""


class TooManyAttempts(MailError):
    """Too many failed logins from this network or for this login."""


class RecipientUnknown(MailError):
    """No account or alias has this address."""


class AccountUnknown(MailError):
    """No account has this id or address."""


class DomainUnknown(MailError):
    """The domain is not one of ours."""


class RelayRefused(RecipientUnknown):
    """An address of a domain that is not ours: nobody relays through us without a login."""


class AddressInUse(MailError):
    """An account or alias already has this address."""


class AliasUnknown(MailError):
    """No alias has this address, or it does not lead there."""


class AliasLoop(MailError):
    """An alias would lead to itself."""


class TargetUnknown(MailError):
    """An alias would lead to what is no address of ours."""


class DomainInUse(MailError):
    """The domain still has accounts or aliases."""


class InvalidAddress(MailError):
    """Not an address of RFC 5321 §4.1.2, or one that we never accept."""


class InvalidArgument(MailError):
    """A value that no caller may send: out of range, malformed or contradictory."""


class MailboxNotFound(MailError):
    """No mailbox has this name or id."""


class MailboxExists(MailError):
    """A mailbox already has this name."""


class MailboxNotFresh(MailError):
    """Numbers from elsewhere do not fit: the mailbox gave some of its own already."""


class MailboxInUse(MailError):
    """Somebody else holds the mailbox: the maildrop lock of RFC 1939 §4."""


class LockLost(MailError):
    """The maildrop lock went to somebody else meanwhile; nothing was changed."""


class HasChildren(MailError):
    """The mailbox has inferior names and cannot go before them."""


class InvalidName(MailError):
    """A mailbox name that cannot be."""


class SpecialUseRefused(MailError):
    """No mailbox can have this special use, or another one has it already. RFC 6154 §3."""


class MessageGone(MailError):
    """The message was expunged meanwhile."""


class MessageTooLarge(MailError):
    """The message is larger than this server takes."""


class InvalidMessage(MailError):
    """The octets cannot be taken as a message: shorter than announced, or framed wrongly."""


class MailLoop(MailError):
    """The message has passed through too many hosts already. RFC 5321 §6.3."""


class OverQuota(MailError):
    """The account's quota does not hold it."""


class LimitExceeded(MailError):
    """A bound of this server: keywords, mailboxes, results, time."""


class BehindFloor(MailError):
    """The change log no longer reaches back that far; start over."""


class StoreUnavailable(MailError):
    """The store cannot answer now; the same request may work later."""


@dataclass(frozen=True, slots=True)
class Wording:
    """How one refusal is said on each door; None where that door never meets it.

    grpc: names of status codes, the first is sent. imap: the response code of a NO, "" for none, "BAD" for a tagged
    BAD. imap_target: the code where the mailbox is the target of COPY, MOVE or APPEND. smtp: reply code and enhanced
    status code (RFC 3463). pop3: the response code of an -ERR (RFC 2449 §8), "" for none.
    """

    grpc: tuple[str, ...]
    imap: str | None
    smtp: tuple[int, str] | None
    pop3: str | None
    text: str
    imap_target: str | None = None


TABLE: Final[dict[type[MailError], Wording]] = {
    BadCredentials: Wording(
        ("UNAUTHENTICATED",), "AUTHENTICATIONFAILED", (535, "5.7.8"), "AUTH", "Authentication failed"
    ),
    NotPermitted: Wording(("PERMISSION_DENIED",), "NOPERM", (550, "5.7.1"), "", "Not permitted"),
    AuthenticationRequired: Wording(
        ("UNAUTHENTICATED",), "BAD", (530, "5.7.0"), "", "Authentication required"
    ),
    PrivacyRequired: Wording(
        ("FAILED_PRECONDITION",), "PRIVACYREQUIRED", (538, "5.7.11"), "", "Start TLS before you log in"
    ),
    AccountDisabled: Wording(
        ("PERMISSION_DENIED",), "CONTACTADMIN", (550, "5.2.1"), "SYS/PERM", "The account is disabled"
    ),
    TooManyAttempts: Wording(
        ("RESOURCE_EXHAUSTED",), "UNAVAILABLE", (454, "4.7.0"), "SYS/TEMP", "Too many attempts, try later"
    ),
    RelayRefused: Wording(
        ("NOT_FOUND",), None, (554, "5.7.1"), None, "Not a domain of ours, and we do not relay"
    ),
    RecipientUnknown: Wording(("NOT_FOUND",), None, (550, "5.1.1"), None, "No such recipient here"),
    AccountUnknown: Wording(("NOT_FOUND",), "CANNOT", (550, "5.1.1"), "SYS/PERM", "No such account"),
    DomainUnknown: Wording(("NOT_FOUND",), None, (550, "5.1.2"), None, "No such domain here"),
    AddressInUse: Wording(("ALREADY_EXISTS",), None, None, None, "The address is taken"),
    AliasUnknown: Wording(("NOT_FOUND",), None, None, None, "No such alias"),
    AliasLoop: Wording(("FAILED_PRECONDITION",), None, None, None, "The alias would lead to itself"),
    TargetUnknown: Wording(("FAILED_PRECONDITION",), None, None, None, "An alias leads to addresses of ours"),
    DomainInUse: Wording(("FAILED_PRECONDITION",), None, None, None, "The domain still has addresses"),
    InvalidAddress: Wording(("INVALID_ARGUMENT",), None, (553, "5.1.3"), None, "Not a valid address"),
    InvalidArgument: Wording(("INVALID_ARGUMENT",), "BAD", (501, "5.5.4"), "", "Invalid argument"),
    MailboxNotFound: Wording(
        ("NOT_FOUND",), "NONEXISTENT", (450, "4.2.0"), "SYS/TEMP", "No such mailbox", imap_target="TRYCREATE"
    ),
    MailboxExists: Wording(("ALREADY_EXISTS",), "ALREADYEXISTS", None, None, "The mailbox already exists"),
    MailboxNotFresh: Wording(
        ("FAILED_PRECONDITION",), None, None, None, "The mailbox has given numbers of its own already"
    ),
    MailboxInUse: Wording(("ABORTED",), "INUSE", (450, "4.2.0"), "IN-USE", "The mailbox is in use"),
    LockLost: Wording(("ABORTED",), "INUSE", None, "SYS/TEMP", "The lock was lost, nothing was changed"),
    HasChildren: Wording(("FAILED_PRECONDITION",), "HASCHILDREN", None, None, "The mailbox has children"),
    InvalidName: Wording(("INVALID_ARGUMENT",), "CANNOT", None, None, "Not a possible mailbox name"),
    SpecialUseRefused: Wording(
        ("FAILED_PRECONDITION",), "USEATTR", None, None, "Another mailbox has this special use"
    ),
    MessageGone: Wording(("NOT_FOUND",), "EXPUNGEISSUED", None, "", "The message is gone"),
    MessageTooLarge: Wording(
        ("INVALID_ARGUMENT",), "TOOBIG", (552, "5.3.4"), None, "The message is too large"
    ),
    InvalidMessage: Wording(("INVALID_ARGUMENT",), "", (550, "5.6.0"), None, "Not acceptable as a message"),
    MailLoop: Wording(("INVALID_ARGUMENT",), None, (554, "5.4.6"), None, "Too many hops, a mail loop"),
    OverQuota: Wording(("RESOURCE_EXHAUSTED",), "OVERQUOTA", (452, "4.2.2"), None, "Over quota"),
    LimitExceeded: Wording(("RESOURCE_EXHAUSTED",), "LIMIT", (452, "4.5.3"), "SYS/TEMP", "Over a limit"),
    BehindFloor: Wording(("OUT_OF_RANGE",), None, None, None, "The change log starts later; start over"),
    StoreUnavailable: Wording(
        ("UNAVAILABLE", "DEADLINE_EXCEEDED"),
        "UNAVAILABLE",
        (451, "4.3.0"),
        "SYS/TEMP",
        "Temporarily unavailable, try again",
    ),
}

# What is said when the server itself is at fault: neutral and temporary.
BUG: Final = Wording(("UNKNOWN",), "SERVERBUG", (451, "4.3.0"), "SYS/TEMP", "Internal error, try again later")

BY_NAME: Final[dict[str, type[MailError]]] = {kind.__name__: kind for kind in TABLE}


def wording(error: BaseException) -> Wording:
    """The row of the table for an error; `BUG` for whatever is not a refusal."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    return BUG
