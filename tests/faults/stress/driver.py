"""A run: clients work for a while, stop, must agree, and go on.

The rule: the seed decides what every client does; when they meet is the machine's.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.faults.stress import names
from tests.faults.stress.checkpoints import checkpoint
from tests.faults.stress.client import Client
from tests.faults.stress.requests import Request
from tests.faults.stress.selecting import Create
from tests.faults.stress.violations import Violation
from tests.faults.stress.world import User, World

logger = logging.getLogger(__name__)

CLIENTS = 20
STRIDE = 7.0

Disturb = Callable[[], Awaitable[None]]


async def run(
    world: World,
    seed: str,
    seconds: float,
    clients: int = CLIENTS,
    disturb: Disturb | None = None,
    stride: float = STRIDE,
    is_enough: Callable[[Counter[str]], bool] = lambda _done: True,
) -> Counter[str]:
    """Violations are in the world afterwards; answers how many commands of each kind were heard out.

    disturb: called once while the clients work between two checkpoints. stride: seconds between those.
    is_enough: asked about that count once the seconds are over; a slow machine takes longer to show as much.
    """
    loop, began = asyncio.get_running_loop(), time.monotonic()
    logger.info("RESTANTE_STRESS_SEED=%s RESTANTE_STRESS_SECONDS=%g", seed, seconds)
    await _prepare(world, seed)
    crowd = [Client(n, world, user, seed) for n, user in enumerate(_users(world, clients), 1)]
    ends = loop.time() + seconds
    while (loop.time() < ends or not is_enough(_done(crowd))) and not world.violations:
        left = ends - loop.time()
        until = loop.time() + (min(left, stride) if left > 0 else stride)
        await asyncio.gather(*(client.work(until) for client in crowd), *([disturb()] if disturb else []))
        await checkpoint(world, crowd, seed)
        logger.info("checkpoint after %.0f s: %d commands", time.monotonic() - began, _done(crowd).total())
    for client in crowd:
        await client.leave()
    return _done(crowd)


def _done(crowd: Sequence[Client]) -> Counter[str]:
    return sum((client.done for client in crowd), Counter())


def _users(world: World, clients: int) -> Sequence[User]:
    """Two thirds on the first account, the others on the others."""
    others = world.users[1:] or world.users
    return [world.users[0] if n % 3 else others[n // 3 % len(others)] for n in range(1, clients + 1)]


async def _prepare(world: World, seed: str) -> None:
    """The mailboxes that must be there."""
    for number, user in enumerate(world.users):
        client = Client(800 + number, world, user, seed)

        async def make(client: Client = client) -> bool:
            await client.connected()
            wanted: list[Request] = [Create(name) for name in (*names.KEEPERS[1:], *names.WANDERERS[:2])]
            await client.perform(wanted)
            return True

        await client.survive(make())
        await client.leave()


def told(violations: Sequence[Violation], seed: str) -> str:
    """All violations, for people."""
    return "\n\n".join([f"RESTANTE_STRESS_SEED={seed}", *(each.told() for each in violations)])
