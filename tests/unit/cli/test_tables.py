"""Tables and numbers as people and programs read them."""

import io
import json
import sys

import pytest

from services.cli.output import printable, refuse, show, size_of
from services.cli.progress import Meter
from services.cli.tables import Column, Table

COLUMNS = (
    Column("name", "NAME"),
    Column("size", "SIZE", size_of, is_number=True),
    Column("to", "TO", spreads=True),
)


def printed(
    capsys: pytest.CaptureFixture[str], *pages: list[dict[str, object]], as_json: bool = False
) -> list[str]:
    table = Table(COLUMNS, "nothing here", as_json=as_json)
    for page in pages:
        table.add(page)
    table.end()
    out = capsys.readouterr()
    return (out.out + out.err).splitlines()


def row(name: str, size: int = 1, *to: str) -> dict[str, object]:
    return {"name": name, "size": size, "to": to or ("x",)}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 30 columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")


def test_numbers_stand_right_and_each_element_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """No trailing spaces."""
    assert printed(capsys, [row("a", 5, "x", "y"), row("bcdef", 12345)]) == [
        "NAME      SIZE  TO",
        "a          5 B  x",
        "a          5 B  y",
        "bcdef  12.3 kB  x",
    ]


def test_later_pages_widen_and_there_is_one_head(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is held back for them."""
    assert printed(capsys, [row("a")], [], [row("longer")]) == [
        "NAME  SIZE  TO",
        "a      1 B  x",
        "longer   1 B  x",
    ]


def test_a_terminal_holds_each_line_and_a_pipe_gets_it_whole(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """The widest texts give way; wide characters count double."""
    rows = [row("someone-with-a-long-name", 999_999, "word " * 5), row("漢" * 20, 1)]
    assert max(map(len, printed(capsys, rows))) > 50
    request.getfixturevalue("narrow")
    lines = printed(capsys, rows)
    assert lines[1] == "someone-…  1.00 MB  word word…"
    assert lines[2] == "漢漢漢漢…      1 B  x"


def test_json_is_one_value_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing at all where there is nothing."""
    lines = printed(capsys, [row("a", 1, "x", "y"), row("ü\n")], as_json=True)
    assert [json.loads(line) for line in lines] == [
        {"name": "a", "size": 1, "to": ["x", "y"]},
        {"name": "ü\n", "size": 1, "to": ["x"]},
    ]
    assert printed(capsys, as_json=True) == []
    assert printed(capsys) == ["nothing here"]


def test_nothing_from_outside_moves_the_cursor() -> None:
    """Escape sequences, bidirectional overrides, line ends."""
    assert printable("a\x1b[2Jb\u202ec\n") == "a\ufffd[2Jb\ufffdc\ufffd"
    assert printable("päckchen 漢") == "päckchen 漢"


def test_whatever_is_said_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """A Message-ID, a folder's name, what another server says."""
    show({}, ["<a\x1b]0;b\x07@c>"], as_json=False)
    refuse("one line\nand a \x1b[2J second", 1)
    Meter(1).complain("left out: \x9b2J")
    told = capsys.readouterr()
    assert told.out == "<a\ufffd]0;b\ufffd@c>\n"
    assert told.err == "restante: one line\nand a \ufffd[2J second\nleft out: \ufffd2J\n"


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


def test_a_folder_may_have_any_name_while_its_progress_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that looks like markup, or moves the cursor."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Meter(1) as meter:
        meter.enter("[/x]\x1b]0;")
        meter.complain("[/y]\x1b]0;")
    shown = terminal.getvalue()
    assert "[/x]\ufffd]0;" in shown
    assert "[/y]\ufffd]0;" in shown


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (9_994, "9.99 kB"), (9_996, "10.0 kB"), (99_949, "99.9 kB"),
     (99_951, "100 kB"), (999_499, "999 kB"), (999_500, "1.00 MB"), (5_000_000_000, "5.00 GB"),
     (2**63 - 1, "9.22 EB")],
)  # fmt: skip
def test_sizes_have_three_digits(octets: int, text: str) -> None:
    """In units of 1000."""
    assert size_of(octets) == text
