"""Which RESTANTE_ names there are, so that a misspelt one is noticed.

Rule: several processes read one environment. A process checks its own names and the shared ones; names under
another process's prefix are that process's to check.
"""

import difflib
from collections.abc import Iterable

from services.plumbing.failures import SettingsWrong

PREFIX = "RESTANTE_"
PROCESSES = ("smtp", "imap", "pop3", "storage", "postgres", "cli", "up")
# Read by the supervisor's children and by the tests; not settings.
OTHERS = frozenset({"RESTANTE_READY_FD", "RESTANTE_CORPUS"})


def check_names(present: Iterable[str], process: str, known: set[str]) -> None:
    """Refuses a name that is not known and not another process's. Raises SettingsWrong."""
    unknown = sorted(
        name for name in present if name.startswith(PREFIX) and not is_known(name, process, known)
    )
    if unknown:
        raise SettingsWrong("; ".join(explain(name, process, known) for name in unknown))


def is_known(name: str, process: str, known: set[str]) -> bool:
    """Whether some process may read the name."""
    return (
        name in known
        or name in OTHERS
        or any(name.startswith(f"{PREFIX}{other.upper()}_") for other in PROCESSES if other != process)
    )


def explain(name: str, process: str, known: set[str]) -> str:
    """One sentence that names the nearest right spelling."""
    candidates = set(known)
    head, _, tail = name.removeprefix(PREFIX).partition("_")
    for other in difflib.get_close_matches(
        head.lower(), [each for each in PROCESSES if each != process], n=1
    ):
        candidates.add(f"{PREFIX}{other.upper()}_{tail}")
    nearest = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f"{name} is not a setting" + (
        f": did you mean {nearest[0]}?" if nearest else "; --settings lists them all"
    )
