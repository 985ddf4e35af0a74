"""Accounts over the network. The rule: see the package."""

import asyncio
from collections.abc import Sequence
from typing import Final

from google.protobuf.field_mask_pb2 import FieldMask
from restante.v1 import accounts_pb2 as pb

from services.mail.errors import BadCredentials, InvalidAddress
from services.mail.store.accounts import NO_SCOPE, Account, AccountPage, Quota, Recipient, Scope, Usage
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import accounts as convert
from services.plumbing.rpc.convert.uids import address_to_wire

WITHOUT_BOUND: Final = Quota()
# Logins of this process that storage works on at once; it hashes about fifty passwords a second on each core. The
# others wait here, where they take no room from other calls and run against no deadline.
MAX_LOGINS: Final = 64


class RemoteAccounts:
    """The port's Accounts."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._logins = asyncio.Semaphore(MAX_LOGINS)

    async def add_domain(self, domain: str) -> bool:
        request = pb.AddDomainRequest(domain=address_to_wire(domain))
        return (await self._calls.write(request, pb.AddDomainResponse, is_repeatable=False)).is_new

    async def list_domains(self) -> Sequence[str]:
        domains: list[str] = []
        request = pb.ListDomainsRequest()
        while True:
            page = await self._calls.read(request, pb.ListDomainsResponse)
            domains.extend(page.domains)
            if not page.next_page_token:
                return tuple(domains)
            request.page_token = page.next_page_token

    async def remove_domain(self, domain: str) -> None:
        request = pb.RemoveDomainRequest(domain=address_to_wire(domain))
        await self._calls.write(request, pb.RemoveDomainResponse, is_repeatable=False)

    async def add_account(self, address: str, password: bytes, quota: Quota = WITHOUT_BOUND) -> Account:
        request = pb.AddAccountRequest(
            address=address_to_wire(address), password=password, quota=convert.quota_to_wire(quota)
        )
        added = await self._calls.write(request, pb.AddAccountResponse, is_repeatable=False)
        return convert.account_from_wire(added.account)

    async def find_account(self, address: str) -> Account:
        request = pb.FindAccountRequest(address=address_to_wire(address))
        return convert.account_from_wire((await self._calls.read(request, pb.FindAccountResponse)).account)

    async def list_accounts(self, page_size: int, page_token: str = "") -> AccountPage:
        request = pb.ListAccountsRequest(page_size=page_size, page_token=page_token)
        page = await self._calls.read(request, pb.ListAccountsResponse)
        accounts = tuple(map(convert.account_from_wire, page.accounts))
        usages = zip(page.usages, accounts, strict=False)
        return AccountPage(
            accounts,
            page.next_page_token,
            tuple(Usage(used.bytes, used.messages, each.quota) for used, each in usages),
        )

    async def remove_account(self, account_id: int) -> None:
        # Never sent again: the second would not find it.
        request = pb.RemoveAccountRequest(account_id=account_id)
        await self._calls.write(request, pb.RemoveAccountResponse, is_repeatable=False)

    async def set_password(self, account_id: int, password: bytes) -> None:
        request = pb.SetPasswordRequest(account_id=account_id, password=password)
        await self._calls.write(request, pb.SetPasswordResponse, is_repeatable=True)

    async def set_quota(self, account_id: int, quota: Quota) -> None:
        await self._update("quota", pb.Account(account_id=account_id, quota=convert.quota_to_wire(quota)))

    async def set_enabled(self, account_id: int, is_enabled: bool) -> None:
        await self._update("is_enabled", pb.Account(account_id=account_id, is_enabled=is_enabled))

    async def _update(self, path: str, account: pb.Account) -> None:
        request = pb.UpdateAccountRequest(account=account, update_mask=FieldMask(paths=[path]))
        await self._calls.write(request, pb.UpdateAccountResponse, is_repeatable=True)

    async def authenticate(
        self, login: str, password: bytes, network: str, scope: Scope = NO_SCOPE, authorize: str = ""
    ) -> Account:
        request = pb.AuthenticateRequest(
            login=_login_to_wire(login),
            password=password,
            network=network,
            scope=convert.scope_to_wire(scope),
            authorize=_login_to_wire(authorize),
        )
        async with self._logins:
            answer = await self._calls.read(request, pb.AuthenticateResponse)
        return convert.account_from_wire(answer.account)

    async def set_apop_secret(self, account_id: int, secret: bytes | None) -> None:
        request = pb.SetApopSecretRequest(account_id=account_id, secret=secret)
        await self._calls.write(request, pb.SetApopSecretResponse, is_repeatable=True)

    async def authenticate_apop(self, login: str, timestamp: bytes, digest: bytes, network: str) -> Account:
        request = pb.AuthenticateApopRequest(
            login=_login_to_wire(login), timestamp=timestamp, digest=digest, network=network
        )
        answer = await self._calls.read(request, pb.AuthenticateApopResponse)
        return convert.account_from_wire(answer.account)

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        request = pb.ResolveRequest(address=address_to_wire(address), size=size)
        found = await self._calls.read(request, pb.ResolveResponse)
        return tuple(map(convert.recipient_from_wire, (found.recipient, *found.others)))

    async def usage(self, account_id: int) -> Usage:
        usage = await self._calls.read(pb.GetUsageRequest(account_id=account_id), pb.GetUsageResponse)
        return Usage(usage.bytes, usage.messages, convert.quota_from_wire(usage.quota))


def _login_to_wire(login: str) -> str:
    try:
        return address_to_wire(login)
    except InvalidAddress:
        raise BadCredentials from None
