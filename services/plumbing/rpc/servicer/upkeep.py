"""UpkeepService. The rule: see the package."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from restante.v1 import upkeep_pb2 as pb

from services.mail.store.upkeep import Upkeep, Verified


class UpkeepServicer:
    """Answers UpkeepService from a store."""

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    async def verify(self, request: pb.VerifyRequest) -> AsyncIterator[pb.VerifyResponse]:
        steps = self._upkeep.verify(request.account_id, request.after_account_id, request.after_body_id)
        async with aclosing(cast("AsyncGenerator[Verified, None]", steps)):
            async for step in steps:
                yield pb.VerifyResponse(
                    account_id=step.account_id,
                    body_id=step.body_id,
                    is_done=step.is_done,
                    bodies=step.bodies,
                    octets=step.octets,
                    drifts=step.drifts,
                )
