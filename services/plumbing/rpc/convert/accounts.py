"""Accounts as they travel. The rule: a password is octets, and is never logged."""

from restante.v1 import accounts_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.accounts import Account, Quota, Recipient


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
