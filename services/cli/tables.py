"""Lists as tables that fit the terminal, or as JSON, one value a line.

The rule: rows are printed as their page comes, so that a long list begins at once and is never held; what a pipe reads
is never shortened, and nothing that came from outside moves the cursor.
"""

import json
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len, set_cell_size

from services.cli.output import printable

Object = Mapping[str, Any]

_GAP: Final = "  "
# A column of text is not made narrower than this.
_NARROWEST: Final = 8
_MORE: Final = "…"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. key: of the object, as JSON names it; form: its text; is_whole: never shortened; is_number: that,
    and right-aligned.

    spreads: the value is a list, and each of its elements has a row.
    """

    key: str
    title: str
    form: Callable[[Any], str] = str
    is_number: bool = False
    is_whole: bool = False
    spreads: bool = False


class Table:
    """A list that is being printed. nothing: what is said, to people, where it is empty."""

    def __init__(self, columns: Sequence[Column], nothing: str, *, as_json: bool) -> None:
        self._columns = columns
        self._nothing = nothing
        self._as_json = as_json
        self._widths = [cell_len(column.title) for column in columns]
        self._has_begun = False

    def add(self, objects: Iterable[Object]) -> None:
        """Prints some more; columns become wider where these need it, never narrower."""
        if self._as_json:
            sys.stdout.write("".join(json.dumps(each) + "\n" for each in objects))
            return
        rows = [row for each in objects for row in self._rows(each)]
        if not rows:
            return
        if not self._has_begun:
            rows.insert(0, [column.title for column in self._columns])
            self._has_begun = True
        for index in range(len(self._columns)):
            self._widths[index] = max(self._widths[index], *(cell_len(row[index]) for row in rows))
        widths = self._fitted()
        sys.stdout.write("".join(self._line(row, widths) for row in rows))
        sys.stdout.flush()

    def end(self) -> None:
        """Says so where there was nothing."""
        if not self._as_json and not self._has_begun:
            sys.stderr.write(f"{self._nothing}\n")

    def _rows(self, each: Object) -> list[list[str]]:
        counts = [len(each[column.key]) for column in self._columns if column.spreads]
        return [
            [
                printable(column.form(each[column.key][number] if column.spreads else each[column.key]))
                for column in self._columns
            ]
            for number in range(counts[0] if counts else 1)
        ]

    def _fitted(self) -> list[int]:
        """The widths, the widest columns of text narrowed until the terminal holds a line."""
        widths = list(self._widths)
        texts = [
            index for index, column in enumerate(self._columns) if not (column.is_number or column.is_whole)
        ]
        if sys.stdout.isatty() and texts:
            room = shutil.get_terminal_size().columns - len(_GAP) * (len(widths) - 1)
            while sum(widths) > room:
                widest = max(texts, key=lambda index: widths[index])
                if widths[widest] <= _NARROWEST:
                    break
                widths[widest] -= 1
        return widths

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells: list[str] = []
        for text, width, column in zip(row, widths, self._columns, strict=True):
            length = cell_len(text)
            if length > width:
                cells.append(set_cell_size(text, width - 1) + _MORE)
            elif column.is_number:
                cells.append(" " * (width - length) + text)
            else:
                cells.append(text + " " * (width - length))
        return _GAP.join(cells).rstrip() + "\n"


def show_table(columns: Sequence[Column], objects: Iterable[Object], nothing: str, *, as_json: bool) -> None:
    """Prints a whole list."""
    table = Table(columns, nothing, as_json=as_json)
    table.add(objects)
    table.end()


async def show_pages(
    columns: Sequence[Column], pages: AsyncIterator[Iterable[Object]], nothing: str, *, as_json: bool
) -> None:
    """Prints a list page by page, as the pages come."""
    table = Table(columns, nothing, as_json=as_json)
    async for objects in pages:
        table.add(objects)
    table.end()
