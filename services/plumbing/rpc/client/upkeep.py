"""Upkeep over the network. The rule: see the package."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from restante.v1 import upkeep_pb2 as pb

from services.mail.store.upkeep import Verified
from services.plumbing.rpc.client.calls import Calls


class RemoteUpkeep:
    """The port's Upkeep."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def verify(
        self, account_id: int = 0, after_account_id: int = 0, after_body_id: int = 0
    ) -> AsyncGenerator[Verified, None]:
        request = pb.VerifyRequest(
            account_id=account_id, after_account_id=after_account_id, after_body_id=after_body_id
        )
        async with aclosing(self._calls.stream(lambda: request, pb.VerifyResponse)) as steps:
            async for step in steps:
                # What is asked for again where a copy goes away.
                request.after_account_id, request.after_body_id = step.account_id, step.body_id
                yield Verified(
                    step.account_id, step.body_id, step.is_done, step.bodies, step.octets, tuple(step.drifts)
                )
