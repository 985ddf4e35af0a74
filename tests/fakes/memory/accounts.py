"""Accounts in memory. Passwords are compared as they are, and failed logins are not slowed down."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.mail.address import parse_domain
from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    AddressInUse,
    BadCredentials,
    DomainInUse,
    DomainUnknown,
    InvalidAddress,
    InvalidArgument,
    LimitExceeded,
    RecipientUnknown,
    RelayRefused,
)
from services.mail.store.accounts import NO_SCOPE, Account, AccountPage, Quota, Recipient, Scope, Usage
from services.mail.store.aliases import MOST_REACHED
from services.mail.store.changes import ChangeKind
from services.mail.store.mailboxes import DEFAULT_FOLDERS, INBOX
from services.storage.accounts.spelling import POSTMASTER, candidates, canonical_address
from tests.fakes.memory.aliases import drop_empty
from tests.fakes.memory.state import Ledger, State

MAX_PASSWORD_OCTETS = 4096
UNBOUNDED = Quota()


@dataclass(frozen=True, slots=True)
class MemoryAccounts:
    """The port's Accounts."""

    state: State

    async def add_domain(self, domain: str) -> bool:
        """Takes a domain as ours."""
        canonical, known = parse_domain(domain), set(self.state.domains)
        self.state.domains.add(canonical)
        return canonical not in known

    async def list_domains(self) -> Sequence[str]:
        """In order."""
        return sorted(self.state.domains)

    async def remove_domain(self, domain: str) -> None:
        """Takes no more mail for a domain."""
        canonical = parse_domain(domain)
        if canonical not in self.state.domains:
            raise DomainUnknown
        if any(name.rpartition("@")[2] == canonical for name in (*self._addresses(), *self.state.aliases)):
            raise DomainInUse
        self.state.domains.remove(canonical)

    async def add_account(self, address: str, password: bytes, quota: Quota = UNBOUNDED) -> Account:
        """Makes an account with an INBOX and the default folders."""
        canonical = canonical_address(address)
        _check(quota, password)
        if canonical.rpartition("@")[2] not in self.state.domains:
            raise DomainUnknown
        if canonical in self._addresses() or canonical in self.state.aliases:
            raise AddressInUse
        self.state.last_account_id += 1
        account = Account(self.state.last_account_id, canonical, True, quota)
        ledger = self.state.ledgers[account.account_id] = Ledger(account, password)
        made = [ledger.add_folder(*each, self.state.now()) for each in ((INBOX, ""), *DEFAULT_FOLDERS)]
        ledger.subscribed |= {folder.mailbox.name for folder in made}
        ledger.write(*((each.mailbox.key.mailbox_id, ChangeKind.MAILBOX_CREATED, ()) for each in made))
        return account

    async def find_account(self, address: str) -> Account:
        """The account of an address."""
        ledger = self._find(canonical_address(address))
        if ledger is None:
            raise AccountUnknown
        return ledger.account

    async def list_accounts(self, page_size: int, page_token: str = "") -> AccountPage:
        """In the order of addresses; the token is the last address told."""
        rest = [row for row in sorted(self._addresses().items()) if row[0] > page_token]
        page = rest[: max(page_size, 1)]
        return AccountPage(
            [ledger.account for _, ledger in page],
            page[-1][0] if len(rest) > len(page) else "",
            [Usage(*ledger.used(), ledger.account.quota) for _, ledger in page],
        )

    async def remove_account(self, account_id: int) -> None:
        """Removes an account with all that it holds, and asks its sessions to end."""
        drop_empty(self.state, [self.state.ledger(account_id).account.address])
        del self.state.ledgers[account_id]
        self.state.removed.add(account_id)

    async def set_password(self, account_id: int, password: bytes) -> None:
        """Replaces the password."""
        _check(Quota(), password)
        self.state.ledger(account_id).password = password

    async def set_apop_secret(self, account_id: int, secret: bytes | None) -> None:
        """Replaces or removes the secret."""
        if secret is not None:
            _check(Quota(), secret)
        self.state.ledger(account_id).apop_secret = secret

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        """Replaces the quota."""
        _check(quota, b"-")
        self.state.replace_account(account_id, quota=quota)

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        """Opens or closes an account."""
        self.state.replace_account(account_id, is_enabled=is_enabled)

    async def authenticate(
        self, login: str, password: bytes, network: str, scope: Scope = NO_SCOPE, authorize: str = ""
    ) -> Account:
        """Checks a password."""
        return self.log_in(login, lambda ledger: password in secrets_of(self.state, ledger, scope), authorize)

    async def authenticate_apop(self, login: str, timestamp: bytes, digest: bytes, network: str) -> Account:
        """Checks a digest."""
        return self.log_in(
            login,
            lambda ledger: (
                ledger.apop_secret is not None
                and hashlib.md5(timestamp + ledger.apop_secret).digest() == digest
            ),
        )

    def log_in(self, login: str, is_right: Callable[[Ledger], bool], authorize: str = "") -> Account:
        """Whose login it is, where what was shown is right; nobody is a master here."""
        try:
            ledger = self._find(canonical_address(login))
        except InvalidAddress:
            ledger = None
        if ledger is None or not is_right(ledger) or authorize.lower() not in ("", ledger.account.address):
            raise BadCredentials
        if not ledger.account.is_enabled:
            raise AccountDisabled
        return ledger.account

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        """Every account that an address leads to; postmaster is the first one where it is nobody."""
        canonical = POSTMASTER if address.lower() == POSTMASTER else canonical_address(address)
        ours, (local, _, domain) = self._addresses(), canonical.rpartition("@")
        names = candidates(canonical)
        if canonical == POSTMASTER or (local == POSTMASTER and domain in self.state.domains):
            open_accounts = [name for name, ledger in ours.items() if ledger.account.is_enabled]
            names += [POSTMASTER, *open_accounts]
        known = ours.keys() | self.state.aliases.keys()
        name = next((each for each in names if each in known), None)
        if name is None:
            raise RecipientUnknown if domain in self.state.domains or not local else RelayRefused
        found = [ours[each] for each in sorted(self.state.reached([name])) if each in ours]
        if len(found) > MOST_REACHED:
            raise LimitExceeded
        taken = [ledger for ledger in found if ledger.account.is_enabled]
        if not taken:
            raise AccountDisabled
        for ledger in taken:
            ledger.check_room(max(size, 0), 1)
        inboxes = [ledger.folder(INBOX).mailbox.key for ledger in taken]
        return [
            Recipient(key.account_id, key.mailbox_id, ledger.account.address)
            for key, ledger in zip(inboxes, taken, strict=True)
        ]

    async def usage(self, account_id: int) -> Usage:
        """What the account holds."""
        ledger = self.state.ledger(account_id)
        return Usage(*ledger.used(), ledger.account.quota)

    def _addresses(self) -> dict[str, Ledger]:
        return self.state.accounts_by_address()

    def _find(self, canonical: str) -> Ledger | None:
        return self._addresses().get(canonical)


def _check(quota: Quota, password: bytes) -> None:
    if not (0 <= quota.bytes < 2**63 and 0 <= quota.messages < 2**63):
        raise InvalidArgument("a quota is 0 or more")
    if not 0 < len(password) <= MAX_PASSWORD_OCTETS or b"\0" in password:
        raise InvalidArgument("a password has at least one octet and no NUL")


def secrets_of(state: State, ledger: Ledger, scope: Scope) -> list[bytes]:
    """The password, and the app passwords that let in there now."""
    return [ledger.password] + [
        each.password.encode()
        for each in ledger.apps.values()
        if scope & each.entry.scopes and not 0 < each.entry.expires_at <= state.now()
    ]
