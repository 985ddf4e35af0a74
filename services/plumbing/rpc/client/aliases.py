"""Aliases over the network. The rule: see the package."""

from collections.abc import Sequence

from restante.v1 import aliases_pb2 as pb

from services.mail.store.aliases import Alias, AliasPage
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import aliases as convert
from services.plumbing.rpc.convert.uids import address_to_wire


class RemoteAliases:
    """The port's Aliases."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def add(self, address: str, targets: Sequence[str]) -> Alias:
        request = pb.AddAliasRequest(address=address_to_wire(address), targets=map(address_to_wire, targets))
        added = await self._calls.write(request, pb.AddAliasResponse, is_repeatable=True)
        return convert.alias_from_wire(added.alias)

    async def list(self, page_size: int, page_token: str = "", target: str = "") -> AliasPage:
        request = pb.ListAliasesRequest(
            page_size=page_size, page_token=page_token, target=address_to_wire(target)
        )
        page = await self._calls.read(request, pb.ListAliasesResponse)
        return AliasPage(tuple(map(convert.alias_from_wire, page.aliases)), page.next_page_token)

    async def remove(self, address: str, targets: Sequence[str] = ()) -> None:
        # Never sent again: the second would not find it.
        request = pb.RemoveAliasRequest(
            address=address_to_wire(address), targets=map(address_to_wire, targets)
        )
        await self._calls.write(request, pb.RemoveAliasResponse, is_repeatable=False)
