"""SearchService. The rule: see the package."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, cast

from restante.v1 import search_pb2 as pb

from services.mail.store.search import Found, Search
from services.plumbing.rpc.convert import search as convert
from services.plumbing.rpc.convert import uids

# How long a search may stay on an exchange, where nobody can end it.
INLINE_SECONDS: Final = 0.2


class SearchServicer:
    """Answers SearchService from a store."""

    def __init__(self, search: Search) -> None:
        self._search = search

    async def search(self, request: pb.SearchRequest) -> AsyncIterator[pb.SearchResponse]:
        found = self._search.search(
            uids.key_from_wire(request.mailbox),
            uids.asked_runs(request.uids),
            convert.query_from_wire(request.terms),
        )
        async with aclosing(cast("AsyncGenerator[Found, None]", found)):
            async for part in found:
                for answer in convert.found_to_wire(part):
                    yield answer

    async def search_inline(self, request: pb.SearchRequest) -> AsyncIterator[pb.SearchResponse]:
        """The beginning of it; the rest is asked for on a stream of its own."""
        loop = asyncio.get_running_loop()
        until = loop.time() + INLINE_SECONDS
        async with aclosing(cast("AsyncGenerator[pb.SearchResponse, None]", self.search(request))) as parts:
            async for part in parts:
                yield part
                if loop.time() > until:
                    return
