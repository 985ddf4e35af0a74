"""Messages whose text is not kept, read one after the other.

The rule: what is read is decided as the kept text would be; what is found early is not looked for any longer, and
nothing holds more of a message than one step.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from services.mail.search import plain, texts
from services.mail.search.deciding import Bounds, chosen
from services.mail.store.search import InBody, InField, InText, Sent
from services.storage.arrays import Bigints
from services.storage.search import statements
from services.storage.search.leaves import Leaf
from services.storage.search.sources import Read, Source
from services.storage.transaction import Row

# Messages whose octets are asked for together, and how many octets, but for the last message.
_TOGETHER: Final = 200
_TOGETHER_OCTETS: Final = 1024 * 1024
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
    start = 0
    while start < len(places):
        asked_uids = Bigints([uids[place] for place in places[start : start + _TOGETHER]])
        found = await read(statements.SOURCES, {**key, "uids": asked_uids, "octets": _TOGETHER_OCTETS})
        columns = {uid: tuple(rest) for uid, *rest in found}
        # What is not among these went meanwhile, or is behind the last and comes with the next.
        come = bisect_right(asked_uids, found[-1][0]) if found else len(asked_uids)
        for row in places[start : start + come]:
            asked = [(place, leaf) for place, leaf in leaves if _is_open(known[place], 1 << row)]
            hits = set[int]()
            octets = columns.pop(uids[row], None)
            if octets is not None and (likely := _likely(octets, asked)):
                hits = await _look(Source.of(read, octets), likely)
                await asyncio.sleep(0)
            for place, _ in asked:
                known[place] = _with(known[place], 1 << row, place in hits, everything)
            if loop.time() > until:
                yield row
                until = loop.time() + _PART_SECONDS
        start += come
        await asyncio.sleep(0)


def _likely(row: Row, asked: Sequence[tuple[int, Leaf]]) -> list[tuple[int, Leaf]]:
    """The leaves that this message may have, as its octets tell at a glance."""
    head, header, parts, _, content = row
    if content is None:
        return list(asked)
    own: bytes | None = None
    if any(isinstance(leaf.key, InField | InText) for _, leaf in asked):
        own = plain.header_in_capitals(head + content[:header])
    whole: bytes | None = None
    if any(isinstance(leaf.key, InBody | InText) for _, leaf in asked):
        whole = plain.content_in_capitals(content, parts)
    likely = []
    for place, leaf in asked:
        wanted = plain.needle(leaf.text)
        in_own = isinstance(leaf.key, InField | InText) and (own is None or wanted is None or wanted in own)
        in_whole = not isinstance(leaf.key, InField) and (whole is None or wanted is None or wanted in whole)
        if in_own or in_whole:
            likely.append((place, leaf))
    return likely


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
