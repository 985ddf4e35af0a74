"""Memory as the kernel tells it: what is a process's own share, and what was resident at most.

The rule: a page that several processes share counts for each by its part (PSS), so that sums are true.
"""

from collections.abc import Iterable
from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for each in found:
        found += children.get(each, ())
    return found


def named(pid: int, word: str) -> int:
    """The one of a family whose command line holds this word."""
    for each in family(pid):
        if word in Path(f"/proc/{each}/cmdline").read_text().split("\0"):
            return each
    raise LookupError(word)


def share(pids: Iterable[int]) -> int:
    """Octets of these processes together (PSS)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def begin_peak(pid: int) -> int:
    """Forgets the peak of a process; answers what is resident now, in octets."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most octets that were resident since `begin_peak`."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
