"""Credentials over the network. The rule: see the package."""

from collections.abc import Sequence

from restante.v1 import credentials_pb2 as pb

from services.mail.errors import BadCredentials, InvalidAddress
from services.mail.store.accounts import NO_SCOPE, Account, Scope
from services.mail.store.credentials import AppPassword, NewAppPassword, Proved, Salted
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import accounts as convert
from services.plumbing.rpc.convert.credentials import app_from_wire, app_request
from services.plumbing.rpc.convert.uids import address_to_wire


class RemoteCredentials:
    """The port's Credentials."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def find_salt(self, login: str) -> Salted:
        request = pb.FindSaltRequest(login=_login_to_wire(login))
        found = await self._calls.read(request, pb.FindSaltResponse)
        return Salted(found.salt, found.iterations)

    async def authenticate_proof(
        self,
        login: str,
        message: bytes,
        proof: bytes,
        network: str,
        scope: Scope = NO_SCOPE,
        authorize: str = "",
    ) -> Proved:
        request = pb.AuthenticateProofRequest(
            login=_login_to_wire(login),
            message=message,
            proof=proof,
            network=network,
            scope=convert.scope_to_wire(scope),
            authorize=_login_to_wire(authorize),
        )
        answer = await self._calls.read(request, pb.AuthenticateProofResponse)
        return Proved(convert.account_from_wire(answer.account), answer.signature)

    async def authenticate_token(self, login: str, token: str, network: str) -> Account:
        request = pb.AuthenticateTokenRequest(login=_login_to_wire(login), token=token, network=network)
        answer = await self._calls.read(request, pb.AuthenticateTokenResponse)
        return convert.account_from_wire(answer.account)

    async def add_app_password(
        self, account_id: int, label: str, scopes: Scope, expires_at: int = 0
    ) -> NewAppPassword:
        request = app_request(account_id, label, scopes, expires_at)
        made = await self._calls.write(request, pb.AddAppPasswordResponse, is_repeatable=False)
        return NewAppPassword(app_from_wire(made.app_password), made.password)

    async def list_app_passwords(self, account_id: int) -> Sequence[AppPassword]:
        request = pb.ListAppPasswordsRequest(account_id=account_id)
        found = await self._calls.read(request, pb.ListAppPasswordsResponse)
        return [app_from_wire(each) for each in found.app_passwords]

    async def remove_app_password(self, account_id: int, number: int) -> bool:
        request = pb.RemoveAppPasswordRequest(account_id=account_id, number=number)
        return (await self._calls.write(request, pb.RemoveAppPasswordResponse, is_repeatable=False)).was_there


def _login_to_wire(login: str) -> str:
    try:
        return address_to_wire(login)
    except InvalidAddress:
        raise BadCredentials from None
