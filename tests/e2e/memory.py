"""Memory as the kernel tells it: what was resident at most (VmHWM), reset just before."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


def high_water(pid: int) -> int:
    """The most octets that were ever resident since the last reset."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


@contextmanager
def flat(pids: Mapping[str, int], most_growth: int) -> Iterator[None]:
    """Meanwhile none of these processes, by name, grows by so many octets."""
    for pid in pids.values():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = {name: high_water(pid) for name, pid in pids.items()}
    yield
    growth = {name: high_water(pid) - before[name] for name, pid in pids.items()}
    logger.info("grown by %s", growth)
    assert all(each < most_growth for each in growth.values()), growth
