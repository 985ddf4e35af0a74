"""AccountsService. The rule: see the package."""

from itertools import islice

from restante.v1 import accounts_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.accounts import Accounts
from services.plumbing.rpc.convert import accounts as convert

MAX_PAGE = 1000


class AccountsServicer:
    """Answers AccountsService from a store."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def add_domain(self, request: pb.AddDomainRequest) -> pb.AddDomainResponse:
        return pb.AddDomainResponse(is_new=await self._accounts.add_domain(request.domain))

    async def list_domains(self, request: pb.ListDomainsRequest) -> pb.ListDomainsResponse:
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        after = (domain for domain in await self._accounts.list_domains() if domain > request.page_token)
        page = list(islice(after, size))
        return pb.ListDomainsResponse(domains=page, next_page_token=page[-1] if next(after, "") else "")

    async def remove_domain(self, request: pb.RemoveDomainRequest) -> pb.RemoveDomainResponse:
        await self._accounts.remove_domain(request.domain)
        return pb.RemoveDomainResponse()

    async def add_account(self, request: pb.AddAccountRequest) -> pb.AddAccountResponse:
        account = await self._accounts.add_account(
            request.address, request.password, convert.quota_from_wire(request.quota)
        )
        return pb.AddAccountResponse(account=convert.account_to_wire(account))

    async def find_account(self, request: pb.FindAccountRequest) -> pb.FindAccountResponse:
        account = await self._accounts.find_account(request.address)
        return pb.FindAccountResponse(account=convert.account_to_wire(account))

    async def list_accounts(self, request: pb.ListAccountsRequest) -> pb.ListAccountsResponse:
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        page = await self._accounts.list_accounts(size, request.page_token)
        return pb.ListAccountsResponse(
            accounts=map(convert.account_to_wire, page.accounts),
            next_page_token=page.next_page_token,
            usages=(pb.Usage(bytes=used.bytes, messages=used.messages) for used in page.usages),
        )

    async def remove_account(self, request: pb.RemoveAccountRequest) -> pb.RemoveAccountResponse:
        await self._accounts.remove_account(request.account_id)
        return pb.RemoveAccountResponse()

    async def set_password(self, request: pb.SetPasswordRequest) -> pb.SetPasswordResponse:
        await self._accounts.set_password(request.account_id, request.password)
        return pb.SetPasswordResponse()

    async def update_account(self, request: pb.UpdateAccountRequest) -> pb.UpdateAccountResponse:
        account, paths = request.account, set(request.update_mask.paths)
        if not paths or not paths <= {"quota", "is_enabled"}:
            raise InvalidArgument('update_mask names "quota", "is_enabled" or both')
        if "quota" in paths:
            await self._accounts.set_quota(account.account_id, convert.quota_from_wire(account.quota))
        if "is_enabled" in paths:
            await self._accounts.set_enabled(account.account_id, account.is_enabled)
        return pb.UpdateAccountResponse()

    async def authenticate(self, request: pb.AuthenticateRequest) -> pb.AuthenticateResponse:
        account = await self._accounts.authenticate(
            request.login,
            request.password,
            request.network,
            convert.scope_from_wire(request.scope),
            request.authorize,
        )
        return pb.AuthenticateResponse(account=convert.account_to_wire(account))

    async def set_apop_secret(self, request: pb.SetApopSecretRequest) -> pb.SetApopSecretResponse:
        secret = request.secret if request.HasField("secret") else None
        await self._accounts.set_apop_secret(request.account_id, secret)
        return pb.SetApopSecretResponse()

    async def authenticate_apop(self, request: pb.AuthenticateApopRequest) -> pb.AuthenticateApopResponse:
        account = await self._accounts.authenticate_apop(
            request.login, request.timestamp, request.digest, request.network
        )
        return pb.AuthenticateApopResponse(account=convert.account_to_wire(account))

    async def resolve(self, request: pb.ResolveRequest) -> pb.ResolveResponse:
        first, *others = map(
            convert.recipient_to_wire, await self._accounts.resolve(request.address, request.size)
        )
        return pb.ResolveResponse(recipient=first, others=others)

    async def get_usage(self, request: pb.GetUsageRequest) -> pb.GetUsageResponse:
        usage = await self._accounts.usage(request.account_id)
        return pb.GetUsageResponse(
            bytes=usage.bytes, messages=usage.messages, quota=convert.quota_to_wire(usage.quota)
        )
