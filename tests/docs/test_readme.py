"""What the README and the other pages name is there: files, settings, targets."""

import re
from pathlib import Path

import pytest

from services.cli.processes import SETTINGS, settings_class

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Those of the tests and of what runs them.
OTHERS = {"RESTANTE_CORPUS", "RESTANTE_READY_FD"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Those to files of ours."""
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_have_their_right_names(page: Path) -> None:
    """A setting that was renamed is renamed in every page."""
    known = OTHERS | {
        settings_class(process).name_of(field)
        for process in SETTINGS
        for field in settings_class(process).model_fields
    }
    named = set(re.findall(r"RESTANTE_[A-Z0-9_]*[A-Z0-9]\b", page.read_text()))
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_are_in_the_makefile(page: Path) -> None:
    """Each at the end of what is in backquotes, or before a comment in a block."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)(?:`| +#)", page.read_text()))
    assert named - targets == set()
