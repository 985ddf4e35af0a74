"""Accounts as they travel. The rule: a password is octets, and is never logged."""

from collections.abc import Iterable
from typing import Final

from restante.v1 import accounts_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.accounts import NO_SCOPE, Account, Quota, Recipient, Scope

_SCOPES: "Final[dict[Scope, pb.Scope.ValueType]]" = {
    NO_SCOPE: pb.SCOPE_UNSPECIFIED,
    Scope.IMAP: pb.SCOPE_IMAP,
    Scope.POP3: pb.SCOPE_POP3,
    Scope.SMTP: pb.SCOPE_SMTP,
}


def quota_to_wire(quota: Quota) -> pb.Quota:
    """What an account may hold. Raises InvalidArgument."""
    try:
        return pb.Quota(bytes=quota.bytes, messages=quota.messages)
    except ValueError:
        raise InvalidArgument("a quota is not negative, and below 2^64") from None


def quota_from_wire(quota: pb.Quota) -> Quota:
    """What an account may hold."""
    return Quota(quota.bytes, quota.messages)


def account_to_wire(account: Account) -> pb.Account:
    """One account."""
    return pb.Account(
        account_id=account.account_id,
        address=account.address,
        is_enabled=account.is_enabled,
        quota=quota_to_wire(account.quota),
    )


def account_from_wire(account: pb.Account) -> Account:
    """One account."""
    return Account(account.account_id, account.address, account.is_enabled, quota_from_wire(account.quota))


def recipient_to_wire(recipient: Recipient) -> pb.Recipient:
    """Where a letter goes."""
    return pb.Recipient(
        account_id=recipient.account_id, mailbox_id=recipient.mailbox_id, address=recipient.address
    )


def recipient_from_wire(recipient: pb.Recipient) -> Recipient:
    """Where a letter goes."""
    return Recipient(recipient.account_id, recipient.mailbox_id, recipient.address)


def scope_to_wire(scope: Scope) -> pb.Scope.ValueType:
    """One scope, or none."""
    return _SCOPES[scope]


def scope_from_wire(scope: pb.Scope.ValueType) -> Scope:
    """One scope, or none; one that is not known here is none."""
    return next((ours for ours, theirs in _SCOPES.items() if theirs == scope), NO_SCOPE)


def scopes_to_wire(scopes: Scope) -> list[pb.Scope.ValueType]:
    """Each of them."""
    return [scope_to_wire(scope) for scope in Scope if scope in scopes]


def scopes_from_wire(scopes: Iterable[pb.Scope.ValueType]) -> Scope:
    """All together. Raises InvalidArgument."""
    found = NO_SCOPE
    for scope in scopes:
        if not (known := scope_from_wire(scope)):
            raise InvalidArgument("no such scope")
        found |= known
    return found
