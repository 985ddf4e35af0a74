"""The stress sees a token that says anything else than what its client was told.

The rule: each mark by itself is enough to be found, or the run that finds nothing would prove nothing.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.imap.session.token import Token, Told
from tests.e2e.system import System
from tests.faults.stress import driver
from tests.faults.stress.cluster import Copies, moving, world_of

SECONDS = 30
STRIDE = 0.5


def wrong(change: Callable[[Told], Told]) -> Callable[[bytes], bytes]:
    """What becomes of a token on its way."""

    def carry(octets: bytes) -> bytes:
        token = Token.decode(octets)
        return replace(token, told=token.told and change(token.told)).encode()

    return carry


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 120)
@pytest.mark.parametrize(
    "change",
    [
        lambda told: replace(told, uid_next_told=told.uid_next_told + 1),
        lambda told: replace(told, expunged_to=told.flags_to),
        lambda told: replace(told, flags_to=told.flags_to + 3),
        lambda told: replace(told, saved=()),
    ],
    ids=["uid_next_told", "expunged_to", "flags_to", "saved"],
)
async def test_a_mark_that_is_wrong_is_found(
    cluster: System, request: pytest.FixtureRequest, change: Callable[[Told], Told]
) -> None:
    """A message that is never told, an expunge that is told to nobody, flags that changed unheard, an empty `$`."""
    name = f"wrong-{request.node.callspec.id.replace('_', '-')}"
    async with (
        world_of(cluster, Copies(cluster), name) as world,
        moving(cluster, name, wrong(change)) as front,
    ):
        world.ports = lambda: [front.port]
        await driver.run(world, name, SECONDS, stride=STRIDE)
    assert world.violations
