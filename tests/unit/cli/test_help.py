"""What --help says of each command."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from services.cli.__main__ import app


def commands(group: Any, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield (*words, name)


@pytest.mark.parametrize("words", tuple(commands(typer.main.get_command(app))), ids=" ".join)
def test_each_command_says_what_it_does_and_shows_an_example(words: tuple[str, ...]) -> None:
    """Enough to get by; whatever tells something tells it to programs too."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "100"})
    assert done.exit_code == 0
    text = " ".join(done.output.split())
    assert f"xample: restante {' '.join(words)}" in text
    assert "--json" in text or len(words) == 1
