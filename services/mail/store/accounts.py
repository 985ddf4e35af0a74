"""Accounts, their addresses, secrets and quotas: this part of the store's port.

The rule: an address is unique over the whole installation; an account's id never changes and is never used again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account may hold: octets and messages; 0 is without bound."""

    bytes: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `address` is its login and its first address, canonical."""

    account_id: int
    address: str
    is_enabled: bool
    quota: Quota


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Accounts by address; `next_page_token` is "" on the last page."""

    accounts: Sequence[Account]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account holds now, and what it may hold."""

    bytes: int
    messages: int
    quota: Quota


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a letter to an address goes: the account and its INBOX."""

    account_id: int
    mailbox_id: int
    address: str


class Accounts(Protocol):
    """The accounts of an installation."""

    async def add_domain(self, domain: str) -> bool:
        """Takes a domain as ours; False where it was already. Raises InvalidAddress."""
        ...

    async def list_domains(self) -> Sequence[str]:
        """All our domains, in order."""
        ...

    async def add_account(self, address: str, password: bytes, quota: Quota = Quota()) -> Account:
        """Makes an account with an INBOX and the folders of `mailboxes.DEFAULT_FOLDERS`, subscribed.

        Raises AddressInUse, DomainUnknown, InvalidAddress, InvalidArgument.
        password: any octets but NUL, at least one.
        """
        ...

    async def find_account(self, address: str) -> Account:
        """The account of an address or alias. Raises AccountUnknown, InvalidAddress."""
        ...

    async def list_accounts(self, page_size: int, page_token: str = "") -> AccountPage:
        """Accounts in the order of their addresses."""
        ...

    async def set_password(self, account_id: int, password: bytes) -> None:
        """Replaces the password; logins with the old one fail from now on. Raises AccountUnknown."""
        ...

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        """Replaces the quota; mail above it stays. Raises AccountUnknown."""
        ...

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        """Opens or closes an account: closed, it neither logs in nor takes mail. Raises AccountUnknown."""
        ...

    async def authenticate(self, login: str, password: bytes, network: str) -> Account:
        """Checks a password; an unknown login costs the same time. RFC 4954 §4, RFC 9051 §6.2.3.

        network: the peer's address, for throttling.
        Raises BadCredentials, AccountDisabled, TooManyAttempts.
        """
        ...

    async def resolve(self, address: str, size: int = 0) -> Recipient:
        """Where a letter of about `size` octets to this address goes. RFC 5321 §3.6.2.

        Raises RecipientUnknown, InvalidAddress, AccountDisabled, OverQuota.
        """
        ...

    async def usage(self, account_id: int) -> Usage:
        """What the account holds. Raises AccountUnknown."""
        ...
