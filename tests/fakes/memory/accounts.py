"""Accounts in memory. Passwords are compared as they are, and failed logins are not slowed down."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.mail.address import parse_domain
from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    AddressInUse,
    BadCredentials,
    DomainUnknown,
    InvalidAddress,
    InvalidArgument,
    RecipientUnknown,
)
from services.mail.store.accounts import Account, AccountPage, Quota, Recipient, Usage
from services.mail.store.changes import ChangeKind
from services.mail.store.mailboxes import DEFAULT_FOLDERS, INBOX
from services.storage.accounts.spelling import POSTMASTER, candidates, canonical_address
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

    async def add_account(self, address: str, password: bytes, quota: Quota = UNBOUNDED) -> Account:
        """Makes an account with an INBOX and the default folders."""
        canonical = canonical_address(address)
        _check(quota, password)
        if canonical.rpartition("@")[2] not in self.state.domains:
            raise DomainUnknown
        if self._find(canonical) is not None:
            raise AddressInUse
        account = Account(len(self.state.ledgers) + 1, canonical, True, quota)
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
        accounts = sorted((ledger.account for ledger in self._ledgers()), key=lambda account: account.address)
        rest = [account for account in accounts if account.address > page_token]
        page = rest[: max(page_size, 1)]
        return AccountPage(page, page[-1].address if len(rest) > len(page) else "")

    async def set_password(self, account_id: int, password: bytes) -> None:
        """Replaces the password."""
        _check(Quota(), password)
        self.state.ledger(account_id).password = password

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        """Replaces the quota."""
        _check(quota, b"-")
        self.state.replace_account(account_id, quota=quota)

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        """Opens or closes an account."""
        self.state.replace_account(account_id, is_enabled=is_enabled)

    async def authenticate(self, login: str, password: bytes, network: str) -> Account:
        """Checks a password."""
        try:
            ledger = self._find(canonical_address(login))
        except InvalidAddress:
            ledger = None
        if ledger is None or ledger.password != password:
            raise BadCredentials
        if not ledger.account.is_enabled:
            raise AccountDisabled
        return ledger.account

    async def resolve(self, address: str, size: int = 0) -> Recipient:
        """Without +detail where nobody has that; postmaster reaches the first account where it is nobody's."""
        is_bare = address.lower() == POSTMASTER
        canonical = f"{POSTMASTER}@" if is_bare else canonical_address(address)
        found = [ledger for name in candidates(canonical) if (ledger := self._find(name)) is not None]
        local, _, domain = canonical.rpartition("@")
        if not found and local == POSTMASTER and (is_bare or domain in self.state.domains):
            ledgers = self._ledgers()
            found = [ledger for ledger in ledgers if ledger.account.address.endswith(f"@{domain}")] or ledgers
        if not found:
            raise RecipientUnknown
        if not found[0].account.is_enabled:
            raise AccountDisabled
        found[0].check_room(max(size, 0), 1)
        inbox = found[0].folder(INBOX).mailbox.key
        return Recipient(inbox.account_id, inbox.mailbox_id, found[0].account.address)

    async def usage(self, account_id: int) -> Usage:
        """What the account holds."""
        ledger = self.state.ledger(account_id)
        return Usage(*ledger.used(), ledger.account.quota)

    def _ledgers(self) -> list[Ledger]:
        return list(self.state.ledgers.values())

    def _find(self, canonical: str) -> Ledger | None:
        return next((ledger for ledger in self._ledgers() if ledger.account.address == canonical), None)


def _check(quota: Quota, password: bytes) -> None:
    if not (0 <= quota.bytes < 2**63 and 0 <= quota.messages < 2**63):
        raise InvalidArgument("a quota is 0 or more")
    if not 0 < len(password) <= MAX_PASSWORD_OCTETS or b"\0" in password:
        raise InvalidArgument("a password has at least one octet and no NUL")
