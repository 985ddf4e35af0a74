"""The differences that are meant: docs/differences.md, and how two answers are compared.

The rule: a difference is one line, `where · what: Dovecot's ≠ ours`, and stands in the list exactly as it is found.
"""

import re
from pathlib import Path
from typing import Final

from tests.differential.normal import Facts
from tests.differential.replies import Tree, show

FILE: Final = Path(__file__).parents[2] / "docs" / "differences.md"
LONGEST: Final = 90

UNASKED: Final = frozenset(
    f"\\{word}" for word in ("HASCHILDREN", "HASNOCHILDREN", "ARCHIVE", "DRAFTS", "JUNK", "SENT", "TRASH")
)


def listed() -> dict[str, set[str]]:
    """Lines of the list by their `where`."""
    found: dict[str, set[str]] = {}
    for block in re.findall(r"^```differences\n(.*?)^```", FILE.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            where, _, what = line.partition(" · ")
            assert what not in found.setdefault(where, set()), f"listed twice: {line}"
            found[where].add(what)
    return found


def differences(theirs: Facts, ours: Facts) -> list[str]:
    """`what: Dovecot's ≠ ours`, for each that differs."""
    found: list[str] = []
    ours = _without_extras(theirs, ours)
    if theirs["tagged"] != ours["tagged"]:
        # One did it and the other did not: what else differs follows from that.
        one, other = (
            " ".join(show(side[key]) for key in ("tagged", "code") if key in side) for side in (theirs, ours)
        )
        return [f"tagged: {one} ≠ {other}"]
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        if key not in theirs or key not in ours:
            one, other = (_cut(show(side[key])) if key in side else "–" for side in (theirs, ours))
            found.append(f"{key}: {one} ≠ {other}")
        else:
            _compare(key, theirs[key], ours[key], found)
    return found


def _without_extras(theirs: Facts, ours: Facts) -> Facts:
    """Ours without what a server may tell unasked, where Dovecot does not: a UID with flags, children and uses."""
    kept: Facts = {}
    for key, value in ours.items():
        row = key.removesuffix("UID")
        if row != key and key not in theirs and not {f"{row}FLAGS", f"{row}MODSEQ"}.isdisjoint(ours):
            continue
        other = theirs.get(key)
        kept[key] = value
        if key.startswith("LIST ") and isinstance(value, list) and isinstance(other, list):
            told, asked = value[0], other[0]
            assert isinstance(told, list)
            assert isinstance(asked, list)
            kept[key] = [[each for each in told if each in asked or each not in UNASKED], *value[1:]]
    return kept


def _compare(path: str, theirs: Tree, ours: Tree, found: list[str]) -> None:
    if theirs == ours:
        return
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for number, (one, other) in enumerate(zip(theirs, ours, strict=True), 1):
            _compare(f"{path}.{number}", one, other, found)
        return
    one, other = show(theirs), show(ours)
    start = 0
    if max(len(one), len(other)) > LONGEST:
        same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        start = max(0, same - 20)
    found.append(f"{path}: {_cut(one, start)} ≠ {_cut(other, start)}")


def _cut(text: str, start: int = 0) -> str:
    cut = text[start : start + LONGEST]
    return ("…" if start else "") + cut + ("…" if start + LONGEST < len(text) else "")
