"""How a command ends when nobody takes its answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RESTANTE = Path(sys.executable).with_name("restante")


@pytest.mark.parametrize("buffers", ["", "1"])
@pytest.mark.parametrize("words", [["--version"], ["settings"]])
def test_a_full_disk_is_told_in_a_line(words: list[str], buffers: str, tmp_path: Path) -> None:
    """An answer that is lost is never a success, and no bug of ours either."""
    environment = {**os.environ, "PYTHONUNBUFFERED": buffers, "RESTANTE_HOME": str(tmp_path)}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [RESTANTE, *words], stdout=full, stderr=subprocess.PIPE, env=environment, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"restante: the answer cannot be written: No space left on device\n"


@pytest.mark.parametrize("buffers", ["", "1"])
def test_a_reader_that_has_seen_enough_hears_nothing(buffers: str, tmp_path: Path) -> None:
    """As in `restante settings | head -1`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": buffers, "RESTANTE_HOME": str(tmp_path)}
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [RESTANTE, "settings"], stdout=writes, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, b"")
