"""How far a long command is: folder, bar, messages, messages a second and the time that is left.

The rule: it goes to stderr, and nowhere where that is no terminal.
"""

import sys
import time
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from services.cli.output import printable

_FOLDER_WIDTH: Final = 24


class Meter:
    """The bar of one command. total: steps; what a step is, whoever counts decides."""

    def __init__(self, total: int) -> None:
        self.messages = 0
        self._started = time.monotonic()
        console = Console(file=sys.stderr, highlight=False)
        folder = Column(width=_FOLDER_WIDTH, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description}", table_column=folder, markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            _Messages(self),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("", total=max(total, 1))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def rate(self) -> float:
        """Messages a second so far."""
        return self.messages / max(time.monotonic() - self._started, 0.001)

    def enter(self, folder: str) -> None:
        """Says which folder it is at."""
        self._progress.update(self._task, description=printable(folder))

    def advance(self, messages: int, steps: int) -> None:
        """Counts what is done."""
        self.messages += messages
        self._progress.advance(self._task, steps)

    def complain(self, line: str) -> None:
        """A line on stderr, above the bar where there is one."""
        if self._progress.disable:
            sys.stderr.write(f"{printable(line)}\n")
        else:
            self._progress.console.print(Text(printable(line)))


class _Messages(ProgressColumn):
    def __init__(self, meter: Meter) -> None:
        super().__init__(Column(no_wrap=True))
        self._meter = meter

    def render(self, _task: Task, /) -> Text:
        return Text(f"{self._meter.messages:,} messages, {self._meter.rate:,.0f}/s", style="cyan")
