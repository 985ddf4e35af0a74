"""Twenty clients on three copies of the IMAP door and two of storage, each holding every reply against its own model.

The rule: the seed is printed, and RESTANTE_STRESS_SEED and RESTANTE_STRESS_SECONDS bring the same steps again for as
long as wanted. What the rules are, and that each can fail: `tests/faults/stress`.
"""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count

import pytest

from tests.e2e.system import System
from tests.faults.cluster import verify
from tests.faults.stress import driver
from tests.faults.stress.cluster import Copies, copies, moving, world_of
from tests.faults.stress.kills import Killer
from tests.faults.stress.world import World

# Taken out, since a process of ours refuses to start with a setting that it does not know.
SEED = os.environ.pop("RESTANTE_STRESS_SEED", "") or str(random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.pop("RESTANTE_STRESS_SECONDS", "") or 28)
KILLING_SECONDS = SECONDS / 2
MOVING_SECONDS = SECONDS / 2
STRIDE = 4.0

OFTEN = ("FETCH", "UID FETCH", "STORE", "UID STORE", "SEARCH", "UID SEARCH", "APPEND", "NOOP", "SELECT")
RARELY = (
    "(deliver)",
    "UID COPY",
    "EXPUNGE",
    "UID EXPUNGE",
    "IDLE",
    "EXAMINE",
    "CREATE",
    "RENAME",
    "STATUS",
    "(INBOX renamed)",
)
LEFT = ("LOGOUT", "(half a literal)", "(half an answer)")

_numbers = count(1)


@pytest.fixture(scope="module")
def found(cluster: System) -> Iterator[Copies]:
    """Three copies of the IMAP door over two of storage."""
    with copies(cluster) as started:
        yield started


@pytest.fixture
async def world(cluster: System, found: Copies) -> AsyncIterator[World]:
    """Two fresh accounts."""
    async with world_of(cluster, found, f"stress{next(_numbers)}") as made:
        yield made


def has(done: Counter[str], least: int, wanted: Sequence[str]) -> bool:
    """Whether enough was done, and each of these."""
    return done.total() >= least and all(done[name] for name in wanted)


def check(world: World, done: Counter[str], least: int, wanted: Sequence[str]) -> None:
    """No violation, and enough was done for that to mean something."""
    assert not world.violations, driver.told(world.violations, SEED)
    assert not [name for name in wanted if not done[name]], done
    assert done.total() >= least, done


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 120)
async def test_every_reply_is_right(world: World, cluster: System) -> None:
    """RFC 9051 §2.3.1, §5.2, §5.5, §7.4.1, §7.5.1: nobody is told anything wrong, and in the end all agree."""
    wanted = (*OFTEN, *RARELY, *LEFT)
    done = await driver.run(world, SEED, SECONDS, is_enough=lambda done: has(done, 1000, wanted))
    check(world, done, 1000, wanted)
    assert verify(cluster) == ""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 120)
async def test_every_reply_is_right_while_copies_are_killed(
    world: World, found: Copies, cluster: System
) -> None:
    """kill -9 of a copy at a time; clients come back by another. What was acknowledged is there once."""
    world.is_rough = True
    killer = Killer(found, SEED)
    wanted = (*OFTEN, "(connection lost)")

    def is_enough(done: Counter[str]) -> bool:
        # Where one round takes all the seconds, only storage was killed, which no client notices.
        return len(found.killed) >= 2 and has(done, 300, wanted)

    done = await driver.run(
        world, SEED, KILLING_SECONDS, disturb=killer.kill_one, stride=STRIDE, is_enough=is_enough
    )
    check(world, done, 300, wanted)
    assert len(found.killed) >= 2
    assert verify(cluster) == ""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 2 + 120)
async def test_every_reply_is_right_while_sessions_move(world: World, cluster: System) -> None:
    """Sessions go from process to process by their tokens, in IDLE too, and no client can tell."""
    async with moving(cluster, SEED) as front:
        world.ports = lambda: [front.port]
        done = await driver.run(
            world, SEED, MOVING_SECONDS, stride=STRIDE, is_enough=lambda done: has(done, 300, OFTEN)
        )
    check(world, done, 300, OFTEN)
    assert len(front.moves) == 4, front.moves
    assert verify(cluster) == ""
