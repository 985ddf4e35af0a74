"""The same dialogue with Dovecot and with Restante: the same replies, but for what docs/differences.md lists."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.differential.conftest import Sides
from tests.differential.listed import differences, listed
from tests.differential.scripts import Script, read_all
from tests.differential.sides import play

SCRIPTS = read_all()


def test_there_are_enough() -> None:
    """And every difference that is listed for a dialogue belongs to one."""
    assert len(SCRIPTS) >= 200
    files = {script.file for script in SCRIPTS}
    names = {script.name for script in SCRIPTS}
    assert [each for each in listed() if each.partition(":")[0] in files and each not in names] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_both_say_the_same(script: Script, sides: Sides) -> None:
    """What each step is answered, and on our side the same again when all steps are sent at once."""
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda side: play(side, script), sides)
    found = {
        f"{number} {what}"
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True), 1)
        for what in differences(one, other)
    }
    meant = listed().get(script.name, set())
    assert sorted(found - meant) == [], "not in docs/differences.md"
    assert sorted(meant - found) == [], "listed in docs/differences.md, and no difference any more"
    if script.is_one_stream:
        assert play(sides[1], script, is_pipelined=True) == ours
