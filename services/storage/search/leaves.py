"""Keys that SQL decides: dates, header fields and texts.

The rule: a key is one statement, whatever it asks; who calls bounds the messages that it looks at.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.mail.search.deciding import Bounds, chosen, of_uids
from services.mail.search.folding import BREAK, fold
from services.mail.store.search import FIRST, LAST, Arrived, InBody, InField, InText, Key, Sent
from services.storage.arrays import Bigints
from services.storage.search import statements
from services.storage.search.sources import Read
from services.storage.transaction import Row, Statement, Values

_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")
_LINE_ENDS: Final = frozenset("\r\n")
# So many messages are looked at in two statements at once: the answer is there sooner, since PostgreSQL has two
# processes at it.
_WORTH_HALVING: Final = 2048


@dataclass(slots=True)
class Leaf:
    """One key with its statements: over a range of uids, and over single ones.

    cost: leaves are asked in this order. name: folded, of the field. text: folded.
    over_near: the same over a range, where the bodies lie close together; is_scattered: they were found not to.
    """

    key: Key
    cost: int
    over_range: Statement
    over_some: Statement
    values: dict[str, Any]
    name: str = ""
    text: str = ""
    over_near: Statement | None = None
    is_scattered: bool = False

    async def look(self, read: Read, key: Values, uids: Sequence[int], open_rows: int) -> Bounds:
        """What is found out about the rows in question; `possible` holds those whose text is not kept."""
        asked = chosen(open_rows, uids)
        half = len(asked) // 2 if len(asked) >= _WORTH_HALVING else 0
        halves = (asked[:half], asked[half:]) if half else (asked,)
        hits: list[int] = []
        unprepared: list[int] = []
        answers = await asyncio.gather(*(self._ask(read, key, each) for each in halves))
        for found, not_kept, several, groups in answers:
            hits += found or ()
            unprepared += not_kept or ()
            hits += (
                uid
                for uid, group in zip(several or (), groups or (), strict=True)
                if any(self.text in value for value in _values(group, self.name))
            )
        sure = of_uids(hits, uids)
        everything = (1 << len(uids)) - 1
        return Bounds(sure, everything & ~(open_rows & ~sure & ~of_uids(unprepared, uids)))

    @property
    def is_one_line(self) -> bool:
        """Whether a header field can hold the text."""
        return _LINE_ENDS.isdisjoint(self.text)

    async def _ask(self, read: Read, key: Values, uids: list[int]) -> Row:
        """Uids that have it, those whose text is not kept, and those with several such fields and what stands there."""
        if self.over_near is not None and not self.is_scattered and _are_close(uids):
            values = {**key, **self.values, "first": uids[0], "last": uids[-1]}
            ((*answer, is_near),) = await read(self.over_near, values)
            if is_near:
                return tuple(answer)
            self.is_scattered = True
        (row,) = await read(*self._statement(key, uids))
        return row

    def _statement(self, key: Values, uids: list[int]) -> tuple[Statement, Values]:
        if _are_close(uids):
            return self.over_range, {**key, **self.values, "first": uids[0], "last": uids[-1]}
        return self.over_some, {**key, **self.values, "uids": Bigints(uids)}


def leaf_of(key: Key) -> Leaf | None:
    """The statements of a key; None for one that needs none."""
    values: dict[str, Any]
    match key:
        case Arrived(since, before):
            values = {"since": max(since, FIRST), "before": min(before, LAST)}
            return Leaf(key, 0, statements.ARRIVED_RANGE, statements.ARRIVED_SOME, values)
        case Sent(since, before):
            values = {"since": max(since, FIRST), "before": min(before, LAST)}
            return Leaf(
                key, 1, statements.SENT_RANGE, statements.SENT_SOME, values, over_near=statements.SENT_NEAR
            )
        case InField(name, text):
            folded = fold(name) if _FIELD_NAME.fullmatch(name) else BREAK  # which stands in no header
            lead = {"lead": f"\n{folded}:"}
            if not text:
                return Leaf(
                    key,
                    1,
                    statements.HAS_FIELD_RANGE,
                    statements.HAS_FIELD_SOME,
                    lead,
                    folded,
                    over_near=statements.HAS_FIELD_NEAR,
                )
            wanted = fold(text)
            values = {**lead, "text": wanted}
            return Leaf(
                key,
                1,
                statements.FIELD_RANGE,
                statements.FIELD_SOME,
                values,
                folded,
                wanted,
                statements.FIELD_NEAR,
            )
        case InText(text) if _LINE_ENDS.isdisjoint(text):
            wanted = fold(text)
            return Leaf(key, 3, statements.TEXT_RANGE, statements.TEXT_SOME, {"text": wanted}, text=wanted)
        case InBody(text) | InText(text):  # a header field is one line
            wanted = fold(text)
            return Leaf(key, 2, statements.BODY_RANGE, statements.BODY_SOME, {"text": wanted}, text=wanted)
    return None


def _are_close(uids: list[int]) -> bool:
    """Whether a range holds little else."""
    return uids[-1] - uids[0] < 2 * len(uids)


def _values(group: str, name: str) -> list[str]:
    """The values in a group that begins behind its first name."""
    first, *others = group.split("\r")
    return [first, *(line[len(name) + 1 :] for line in others)]
