"""docs/rfc-coverage.md."""

import re
from pathlib import Path

from services.imap import commands, registry
from services.mail.pop3.commands import TABLE as POP3
from services.mail.smtp.commands import REGISTRY as SMTP

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rfc-coverage.md").read_text(encoding="utf-8")


def test_every_path_of_the_page_exists() -> None:
    """A row that points nowhere is a promise that nobody keeps."""
    paths = re.findall(r"`((?:services|tests|protos)/[^`]+)`", PAGE)
    assert len(paths) > 50
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_registered_command_has_a_row_whose_test_names_it() -> None:
    """A command is done when a dialogue shows it."""
    assert commands.FAMILIES
    wanted = {("IMAP", name) for name in registry.ROWS}
    wanted |= {("SMTP", name) for name in SMTP}
    wanted |= {("POP3", name.decode()) for name in POP3}
    rows = {
        (door, name): test
        for door, name, test in re.findall(r"^\| (\w+) \| (\w+) \| .* \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    }
    assert wanted - set(rows) == set()
    assert set(rows) - wanted == set()
    unnamed = [
        name
        for (_, name), test in rows.items()
        if not re.search(rf"\b{name}\b", (ROOT / test).read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    assert unnamed == []


def test_every_rfc_that_the_code_cites_has_a_row() -> None:
    """Citations have one form: RFC 9051 §6.4.7."""
    sources = [*(ROOT / "services").rglob("*.py"), *(ROOT / "protos").rglob("*.proto")]
    cited = {
        number for each in sources for number in re.findall(r"RFC (\d+)", each.read_text(encoding="utf-8"))
    }
    assert len(cited) > 20
    assert cited - set(re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)) == set()
