"""How far a command is, as a terminal shows it."""

import io
import re
import sys

import pytest

from services.cli.progress import Meter

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """What a terminal was sent."""

    def isatty(self) -> bool:
        return True


def test_all_of_it_is_one_line_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that were two would leave its beginnings on the screen, and hide the rate."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with Meter(1_000_000) as meter:
        meter.enter("Archive/2024/A name that is long")
        meter.advance(123_456, 123_456)
    last = _ESCAPES.sub("", terminal.getvalue()).replace("\r", "\n").split("\n")
    assert any(
        re.fullmatch(r"Archive/2024/A name tha… .* 12% 123,456 messages, [\d,]+/s \S+ left *", line)
        for line in last
    ), last
