"""Accounts, their addresses, secrets and quotas: this part of the store's port.

The rule: an address is unique over the whole installation; an account's id never changes and is never used again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final, Protocol


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
class Usage:
    """What an account holds now, and what it may hold."""

    bytes: int
    messages: int
    quota: Quota


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Accounts by address, and what each holds; `next_page_token` is "" on the last page."""

    accounts: Sequence[Account]
    next_page_token: str
    usages: Sequence[Usage] = ()


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where a letter goes: the account, its INBOX and its own address."""

    account_id: int
    mailbox_id: int
    address: str


class Scope(IntFlag):
    """What an app password lets in to; bits that are stored."""

    IMAP = 1
    POP3 = 2
    SMTP = 4


NO_SCOPE: Final = Scope(0)


class Accounts(Protocol):
    """The accounts of an installation."""

    async def add_domain(self, domain: str) -> bool:
        """Takes a domain as ours; False where it was already. Raises InvalidAddress."""
        ...

    async def list_domains(self) -> Sequence[str]:
        """All our domains, in order."""
        ...

    async def remove_domain(self, domain: str) -> None:
        """Takes no more mail for a domain that has neither accounts nor aliases.

        Raises DomainInUse, DomainUnknown, InvalidAddress.
        """
        ...

    async def add_account(self, address: str, password: bytes, quota: Quota = Quota()) -> Account:
        """Makes an account with an INBOX and the folders of `mailboxes.DEFAULT_FOLDERS`, subscribed.

        Raises AddressInUse, DomainUnknown, InvalidAddress, InvalidArgument.
        password: any octets but NUL, at least one.
        """
        ...

    async def find_account(self, address: str) -> Account:
        """The account of an address; an alias is none. Raises AccountUnknown, InvalidAddress."""
        ...

    async def list_accounts(self, page_size: int, page_token: str = "") -> AccountPage:
        """Accounts in the order of their addresses."""
        ...

    async def remove_account(self, account_id: int) -> None:
        """Removes an account from all aliases, asks its sessions to end, and removes its mail in a while.

        From now on it neither logs in nor takes mail, and its address is free. Raises AccountUnknown.
        """
        ...

    async def set_password(self, account_id: int, password: bytes) -> None:
        """Replaces the password; logins with the old one fail from now on. Raises AccountUnknown."""
        ...

    async def set_apop_secret(self, account_id: int, secret: bytes | None) -> None:
        """Replaces the secret that APOP logs in by, or removes it. RFC 1939 §7.

        secret: any octets but NUL, at least one; they are kept readable, so it should not be the password.
        Raises AccountUnknown, InvalidArgument; NotPermitted where APOP is off.
        """
        ...

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        """Replaces the quota; mail above it stays. Raises AccountUnknown."""
        ...

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        """Opens or closes an account: closed, it neither logs in nor takes mail. Raises AccountUnknown."""
        ...

    async def authenticate(
        self, login: str, password: bytes, network: str, scope: Scope = NO_SCOPE, authorize: str = ""
    ) -> Account:
        """Checks a password; an unknown login costs the same time. RFC 4954 §4, RFC 9051 §6.2.3.

        network: the peer's address, for throttling. scope: where; app passwords of that scope count too.
        authorize: whom to act for, which masters alone may; "" for oneself.
        Raises BadCredentials, AccountDisabled, TooManyAttempts.
        """
        ...

    async def authenticate_apop(self, login: str, timestamp: bytes, digest: bytes, network: str) -> Account:
        """Checks an APOP digest; a login that is unknown, or has no secret, costs the same time. RFC 1939 §7.

        timestamp: that of the greeting, with its angle brackets. digest: the 16 octets. network: the peer's address;
        failures count like those of passwords. Raises BadCredentials, AccountDisabled, TooManyAttempts.
        """
        ...

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        """The accounts that a letter of about `size` octets to this address goes to, each once. RFC 5321 §3.6.2, §3.9.

        The address itself counts first, then without its +detail, then the catch-all of its domain. Of several
        accounts those that are closed are left out, and one that is full refuses the letter for all.
        Raises RecipientUnknown, RelayRefused, InvalidAddress, AccountDisabled, OverQuota, LimitExceeded.
        """
        ...

    async def usage(self, account_id: int) -> Usage:
        """What the account holds. Raises AccountUnknown."""
        ...
