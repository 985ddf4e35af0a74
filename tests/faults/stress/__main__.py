"""`python -m tests.faults.stress`: the stress by hand, for as long as one likes, against Restante or Dovecot.

The rule: the same driver and the same rules as in the tests.
"""

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.e2e.system import running
from tests.faults.stress import dovecot, driver
from tests.faults.stress.cluster import copies, moving, world_of
from tests.faults.stress.kills import Killer
from tests.faults.stress.world import World


def say(text: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Runs, prints what was seen, and ends with 1 where a rule was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.stress", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=float(os.environ.get("RESTANTE_STRESS_SECONDS") or 60)
    )
    parser.add_argument("--clients", type=int, default=driver.CLIENTS)
    chosen = os.environ.get("RESTANTE_STRESS_SEED") or str(random.SystemRandom().randrange(10**6))
    parser.add_argument("--seed", default=chosen)
    parser.add_argument("--kill", action="store_true", help="kill -9 copies of IMAP and storage meanwhile")
    parser.add_argument("--move", action="store_true", help="move sessions between two workers meanwhile")
    parser.add_argument(
        "--dovecot", action="store_true", help="drive a private Dovecot, to check the checker"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("asyncio", "grpc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    world, done = asyncio.run(_dovecot(options) if options.dovecot else _restante(options))
    say(", ".join(f"{name} {count}" for name, count in sorted(done.items())))
    if world.violations:
        say(driver.told(world.violations, options.seed))
        sys.exit(1)
    say(f"{done.total()} commands, no violation")


async def _restante(options: argparse.Namespace) -> tuple[World, Counter[str]]:
    with (
        tempfile.TemporaryDirectory(prefix="restante-stress-") as folder,
        running(Path(folder) / "home", UP_STORAGES="2") as system,
        copies(system) as found,
    ):
        assert system.run("domain", "add", "faults.test").returncode == 0
        async with world_of(system, found, "stress") as world, moving(system, options.seed) as front:
            if options.move:
                world.ports = lambda: [front.port]
            world.is_rough = options.kill
            disturb = Killer(found, options.seed).kill_one if options.kill else None
            done = await driver.run(world, options.seed, options.seconds, options.clients, disturb)
            done |= front.moves
            return world, done


async def _dovecot(options: argparse.Namespace) -> tuple[World, Counter[str]]:
    with dovecot.world() as world:
        return world, await driver.run(
            world, options.seed, options.seconds, min(options.clients, dovecot.CLIENTS)
        )


if __name__ == "__main__":
    main()
