"""Files that hold secrets.

The rule: nobody but their owner can ever read them, not even while they are written, and they are whole or absent.
"""

import os
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Writes a file with mode 0600 in place of the one that is there. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.rename(path)
