"""CredentialsService. The rule: see the package."""

from restante.v1 import credentials_pb2 as pb

from services.mail.store.credentials import Credentials
from services.plumbing.rpc.convert import accounts as convert
from services.plumbing.rpc.convert.credentials import app_to_wire


class CredentialsServicer:
    """Answers CredentialsService from a store."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def find_salt(self, request: pb.FindSaltRequest) -> pb.FindSaltResponse:
        found = await self._credentials.find_salt(request.login)
        return pb.FindSaltResponse(salt=found.salt, iterations=found.iterations)

    async def authenticate_proof(self, request: pb.AuthenticateProofRequest) -> pb.AuthenticateProofResponse:
        proved = await self._credentials.authenticate_proof(
            request.login,
            request.message,
            request.proof,
            request.network,
            convert.scope_from_wire(request.scope),
            request.authorize,
        )
        return pb.AuthenticateProofResponse(
            account=convert.account_to_wire(proved.account), signature=proved.signature
        )

    async def add_app_password(self, request: pb.AddAppPasswordRequest) -> pb.AddAppPasswordResponse:
        made = await self._credentials.add_app_password(
            request.account_id, request.label, convert.scopes_from_wire(request.scopes), request.expires_at
        )
        return pb.AddAppPasswordResponse(app_password=app_to_wire(made.entry), password=made.password)

    async def list_app_passwords(self, request: pb.ListAppPasswordsRequest) -> pb.ListAppPasswordsResponse:
        found = await self._credentials.list_app_passwords(request.account_id)
        return pb.ListAppPasswordsResponse(app_passwords=map(app_to_wire, found))

    async def remove_app_password(self, request: pb.RemoveAppPasswordRequest) -> pb.RemoveAppPasswordResponse:
        was_there = await self._credentials.remove_app_password(request.account_id, request.number)
        return pb.RemoveAppPasswordResponse(was_there=was_there)

    async def authenticate_token(self, request: pb.AuthenticateTokenRequest) -> pb.AuthenticateTokenResponse:
        account = await self._credentials.authenticate_token(request.login, request.token, request.network)
        return pb.AuthenticateTokenResponse(account=convert.account_to_wire(account))
