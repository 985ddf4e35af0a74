"""Searching over the network. The rule: see the package."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from restante.v1 import search_pb2 as pb

from services.mail.store.mailboxes import MailboxKey
from services.mail.store.search import Found, Query
from services.mail.store.uids import LAST_UID, Runs, between
from services.plumbing.rpc.client.calls import Calls
from services.plumbing.rpc.convert import search as convert
from services.plumbing.rpc.convert.uids import key_to_wire, runs_to_wire


class RemoteSearch:
    """The port's Search."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def search(self, mailbox: MailboxKey, uids: Runs, query: Query) -> AsyncGenerator[Found, None]:
        searched_to = 0
        terms = convert.query_to_wire(query)

        def rest() -> pb.SearchRequest | None:
            left = between(uids, searched_to + 1, LAST_UID)
            # Asked even for nothing: the mailbox may be gone.
            if searched_to and not left:
                return None
            return pb.SearchRequest(mailbox=key_to_wire(mailbox), uids=runs_to_wire(left), terms=terms)

        request = rest()
        assert request is not None
        asked = await self._calls.ask(request, pb.SearchResponse, True, self._calls.patience.read)
        for part in cast("list[pb.SearchResponse]", asked.parts):
            found = convert.found_from_wire(part)
            searched_to = found.searched_to
            yield found
        if not uids or not asked.parts:
            return
        async with aclosing(self._calls.stream(rest, pb.SearchResponse)) as parts:
            async for part in parts:
                found = convert.found_from_wire(part)
                searched_to = found.searched_to
                yield found
