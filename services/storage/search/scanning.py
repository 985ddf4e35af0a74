"""Messages whose text is not kept, read one after the other.

The rule: what is read is decided as the kept text would be; what is found early is not looked for any longer, and
nothing holds more of a message than one step.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from services.mail.search import texts
from services.mail.search.deciding import Bounds, chosen
from services.mail.store.search import InField, InText, Sent
from services.storage.arrays import Bigints
from services.storage.search import statements
from services.storage.search.leaves import Leaf
from services.storage.search.sources import Read, Source

# Messages whose octets are asked for together; each has at most 256 KB at hand.
_TOGETHER: Final = 20
_PART_SECONDS: Final = 0.1


async def scan(
    read: Read,
    key: dict[str, Any],
    uids: Sequence[int],
    rows: int,
    leaves: Sequence[tuple[int, Leaf]],
    known: list[Bounds | None],
) -> AsyncIterator[int]:
    """Makes sure, in `known`, of every leaf for these rows; answers now and then up to which row it has come."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PART_SECONDS
    places = chosen(rows, range(len(uids)))
    everything = (1 << len(uids)) - 1
    for start in range(0, len(places), _TOGETHER):
        some = places[start : start + _TOGETHER]
        found = await read(statements.SOURCES, {**key, "uids": Bigints([uids[place] for place in some])})
        columns = {uid: tuple(rest) for uid, *rest in found}
        for row in some:
            asked = [(place, leaf) for place, leaf in leaves if _is_open(known[place], 1 << row)]
            hits = set[int]()
            if uids[row] in columns:  # else it went meanwhile
                hits = await _look(Source.of(read, columns[uids[row]]), asked)
            for place, _ in asked:
                known[place] = _with(known[place], 1 << row, place in hits, everything)
            if loop.time() > until:
                yield row
                until = loop.time() + _PART_SECONDS


async def _look(source: Source, asked: Sequence[tuple[int, Leaf]]) -> set[int]:
    """The places of the leaves that this message has."""
    found: set[int] = set()
    own = await source.own_header()
    folded = ""
    if any(isinstance(leaf.key, InField | InText) for _, leaf in asked):
        folded = await source.folded_header(own)
    wanted: dict[int, str] = {}
    for place, leaf in asked:
        match leaf.key:
            case Sent(since, before):
                day = texts.sent_day(own)
                is_hit = day is not None and since <= day < before
            case InField():
                values = texts.field_values(folded, leaf.name)
                is_hit = values is not None and any(leaf.text in value for value in values)
            case InText() if leaf.is_one_line and leaf.text in folded:
                is_hit = True
            case _:
                is_hit = False
                wanted[place] = leaf.text
        if is_hit:
            found.add(place)
    if wanted:
        found |= await _look_in_bodies(source, wanted)
    return found


async def _look_in_bodies(source: Source, wanted: dict[int, str]) -> set[int]:
    found: set[int] = {place for place, text in wanted.items() if not text}
    left = {place: text for place, text in wanted.items() if text}
    longest = max(map(len, left.values()), default=1)
    part, tails = -1, ("", "")
    async for number, *pieces in source.body_texts():
        if not left:
            break
        if number != part:
            part, tails = number, ("", "")
        windows = (tails[0] + pieces[0], tails[1] + pieces[1])
        hits = [place for place, text in left.items() if text in windows[0] or text in windows[1]]
        for place in hits:
            found.add(place)
            del left[place]
        keep = longest - 1
        tails = (windows[0][-keep:] if keep else "", windows[1][-keep:] if keep else "")
    return found


def _is_open(bounds: Bounds | None, bit: int) -> bool:
    return bounds is None or bool(bounds.open & bit)


def _with(bounds: Bounds | None, bit: int, is_hit: bool, everything: int) -> Bounds:
    sure, possible = bounds or Bounds(0, everything)
    return Bounds(sure | bit, possible | bit) if is_hit else Bounds(sure & ~bit, possible & ~bit)
