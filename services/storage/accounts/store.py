"""Accounts on PostgreSQL. The rule: an address is unique by its row in `addresses`, and nothing else says so."""

from collections.abc import Sequence
from typing import Final

from services.mail.address import parse_domain
from services.mail.errors import (
    AccountDisabled,
    AccountUnknown,
    AddressInUse,
    DomainInUse,
    DomainUnknown,
    InvalidArgument,
    LimitExceeded,
    OverQuota,
    RecipientUnknown,
    RelayRefused,
)
from services.mail.store.accounts import NO_SCOPE, Account, AccountPage, Quota, Recipient, Scope, Usage
from services.mail.store.aliases import MOST_REACHED
from services.mail.store.mailboxes import DEFAULT_FOLDERS, INBOX
from services.storage.accounts import removal, statements
from services.storage.accounts.resolver import Resolver
from services.storage.accounts.spelling import POSTMASTER, candidates, canonical_address
from services.storage.aliases.statements import CUT, EXPAND
from services.storage.arrays import Texts
from services.storage.credentials.logins import Logins, account_of
from services.storage.transaction import DIRECTORY, Database, Row

MAX_PAGE: Final = 1000
_UNBOUNDED: Final = Quota()


class PostgresAccounts:
    """Implements `services.mail.store.accounts.Accounts`."""

    def __init__(self, database: Database, logins: Logins) -> None:
        self._database = database
        self._logins = logins
        self._resolver = Resolver(database)

    async def add_domain(self, domain: str) -> bool:
        """See the port."""
        rows = await self._database.write(statements.ADD_DOMAIN, {"domain": parse_domain(domain)})
        return bool(rows)

    async def list_domains(self) -> Sequence[str]:
        """See the port."""
        return [row[0] for row in await self._database.read(statements.LIST_DOMAINS, {})]

    async def remove_domain(self, domain: str) -> None:
        """See the port."""
        values = {"domain": parse_domain(domain)}
        rows = await self._database.transact([DIRECTORY], (statements.REMOVE_DOMAIN, values))
        is_ours, is_used, _ = rows[0][0]
        if not is_ours:
            raise DomainUnknown
        if is_used:
            raise DomainInUse(f"{values['domain']} still has accounts or aliases")

    async def add_account(self, address: str, password: bytes, quota: Quota = _UNBOUNDED) -> Account:
        """See the port."""
        canonical = canonical_address(address)
        _check_quota(quota)
        values = {
            "address": canonical,
            "domain": canonical.rpartition("@")[2],
            "secrets": await self._logins.secrets(canonical, password),
            "quota_bytes": quota.bytes,
            "quota_messages": quota.messages,
            "names": Texts([INBOX, *(name for name, _ in DEFAULT_FOLDERS)]),
            "uses": Texts(["", *(use for _, use in DEFAULT_FOLDERS)]),
        }
        rows = await self._database.transact([DIRECTORY], (statements.ADD_ACCOUNT, values))
        account_id, is_ours = rows[0][0]
        if not is_ours:
            raise DomainUnknown(f"{values['domain']} is not one of our domains")
        if account_id is None:
            raise AddressInUse(f"{canonical} is taken")
        return Account(account_id, canonical, True, quota)

    async def find_account(self, address: str) -> Account:
        """See the port."""
        rows = await self._database.read(statements.FIND_ACCOUNT, {"address": canonical_address(address)})
        if not rows:
            raise AccountUnknown
        return account_of(rows[0])

    async def list_accounts(self, page_size: int, page_token: str = "") -> AccountPage:
        """See the port."""
        size = min(max(page_size, 1), MAX_PAGE)
        rows = await self._database.read(statements.LIST_ACCOUNTS, {"after": page_token, "limit": size + 1})
        accounts = [account_of(row) for row in rows[:size]]
        usages = [Usage(row[5], row[6], each.quota) for row, each in zip(rows, accounts, strict=False)]
        return AccountPage(accounts, accounts[-1].address if len(rows) > size else "", usages)

    async def remove_account(self, account_id: int) -> None:
        """See the port."""
        address = await self._logins.address_of(account_id)
        cut = {"address": address, "account_id": account_id, "targets": Texts()}
        rows = await self._database.transact(
            [DIRECTORY, account_id], (CUT, cut), (removal.REMOVE, {"account_id": account_id})
        )
        if not rows[1]:
            raise AccountUnknown

    async def set_password(self, account_id: int, password: bytes) -> None:
        """See the port."""
        await self._logins.set_password(account_id, password)

    async def set_apop_secret(self, account_id: int, secret: bytes | None) -> None:
        """See the port."""
        await self._logins.set_apop_secret(account_id, secret)

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        """See the port."""
        _check_quota(quota)
        values = {"account_id": account_id, "bytes": quota.bytes, "messages": quota.messages}
        if not await self._database.write(statements.SET_QUOTA, values):
            raise AccountUnknown

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        """See the port."""
        values = {"account_id": account_id, "is_enabled": is_enabled}
        if not await self._database.write(statements.SET_ENABLED, values):
            raise AccountUnknown

    async def authenticate(
        self, login: str, password: bytes, network: str, scope: Scope = NO_SCOPE, authorize: str = ""
    ) -> Account:
        """See the port."""
        return await self._logins.by_password(login, password, network, scope, authorize)

    async def authenticate_apop(self, login: str, timestamp: bytes, digest: bytes, network: str) -> Account:
        """See the port."""
        return await self._logins.by_digest(login, timestamp, digest, network)

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        """See the port. `postmaster` alone, or of a domain of ours, always reaches somebody."""
        canonical = POSTMASTER if address.lower() == POSTMASTER else canonical_address(address)
        row = await self._resolver.find(candidates(canonical), size)
        local, _, domain = canonical.rpartition("@")
        if row is None and POSTMASTER in (local, canonical):
            values = {"domain": domain if local else ""}
            named = await self._database.read(statements.POSTMASTER, values)
            row = await self._resolver.find([name for (name,) in named if name], size)
        if row is None:
            is_ours = not local or await self._database.read(statements.FIND_DOMAIN, {"domain": domain})
            raise RecipientUnknown if is_ours else RelayRefused
        found_address, account_id = row[:2]
        if account_id is not None:
            return _recipients([row])
        alias = {"address": found_address, "size": max(size, 0), "limit": MOST_REACHED + 1}
        return _recipients(await self._database.read(EXPAND, alias))

    async def usage(self, account_id: int) -> Usage:
        """See the port."""
        rows = await self._database.read(statements.USAGE, {"account_id": account_id})
        if not rows:
            raise AccountUnknown
        used_bytes, used_messages, quota_bytes, quota_messages = rows[0]
        return Usage(used_bytes, used_messages, Quota(quota_bytes, quota_messages))


def _recipients(rows: Sequence[Row]) -> list[Recipient]:
    """Those of the rows of RESOLVE or EXPAND that take the letter. Raises what `resolve` does."""
    if not rows:
        raise RecipientUnknown
    if len(rows) > MOST_REACHED:
        raise LimitExceeded(f"the alias leads to more than {MOST_REACHED} accounts")
    taken = [row for row in rows if row[2]]
    if not taken:
        raise AccountDisabled
    if not all(fits for *_, fits in taken):
        raise OverQuota
    return [Recipient(account_id, mailbox_id, address) for address, account_id, _, mailbox_id, _ in taken]


def _check_quota(quota: Quota) -> None:
    if not (0 <= quota.bytes < 2**63 and 0 <= quota.messages < 2**63):
        raise InvalidArgument("a quota is 0 or more")
