"""Programs that tests drive and that are not ours.

The rule: a program that is absent skips the test by name with the line that installs it; nothing is skipped silently.
"""

import shutil
from pathlib import Path

import pytest

# Where Debian keeps programs that are not on everybody's path.
ELSEWHERE = ("/usr/sbin", "/sbin", "/usr/lib/dovecot")


def need(program: str, package: str) -> str:
    """The path of a program; skips the test where it is absent."""
    found = shutil.which(program) or next(
        (str(Path(folder) / program) for folder in ELSEWHERE if (Path(folder) / program).exists()), None
    )
    if found is None:
        pytest.skip(f"{program} is absent: apt-get install {package}")
    return found
