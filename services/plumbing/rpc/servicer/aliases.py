"""AliasesService. The rule: see the package."""

from restante.v1 import aliases_pb2 as pb

from services.mail.store.aliases import Aliases
from services.plumbing.rpc.convert import aliases as convert

MAX_PAGE = 1000


class AliasesServicer:
    """Answers AliasesService from a store."""

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    async def add_alias(self, request: pb.AddAliasRequest) -> pb.AddAliasResponse:
        alias = await self._aliases.add(request.address, tuple(request.targets))
        return pb.AddAliasResponse(alias=convert.alias_to_wire(alias))

    async def list_aliases(self, request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
        size = min(request.page_size or MAX_PAGE, MAX_PAGE)
        page = await self._aliases.list(size, request.page_token, request.target)
        return pb.ListAliasesResponse(
            aliases=map(convert.alias_to_wire, page.aliases), next_page_token=page.next_page_token
        )

    async def remove_alias(self, request: pb.RemoveAliasRequest) -> pb.RemoveAliasResponse:
        await self._aliases.remove(request.address, tuple(request.targets))
        return pb.RemoveAliasResponse()
