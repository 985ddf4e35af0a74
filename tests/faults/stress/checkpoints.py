"""Where all clients stop, have heard everything, and must agree: with each other, with a fresh reader, with the ledger.

The rule: nothing changes while this looks, so everything is compared exactly.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence

from tests.faults.stress import choices, names
from tests.faults.stress.audit import audit
from tests.faults.stress.client import Client
from tests.faults.stress.model import Model
from tests.faults.stress.reading import (
    UID_FLAGS,
    FetchMessages,
    Key,
    ListAll,
    Noop,
    SaveSearch,
    SearchMessages,
    Status,
)
from tests.faults.stress.selecting import Select
from tests.faults.stress.violations import Violation, expect
from tests.faults.stress.world import World
from tests.faults.stress.writing import StoreFlags

WHOLE = ("(UID FLAGS BODY.PEEK[])", frozenset({"UID", "FLAGS", "BODY[]"}))
AT_ONCE = 50


async def checkpoint(world: World, clients: Sequence[Client], seed: str) -> None:
    """Reports what does not agree to the world."""
    chance = random.Random(f"{seed}/{sum(client.done.total() for client in clients)}")
    await asyncio.gather(*(client.survive(_rush(client, chance.getrandbits(64))) for client in clients))
    await asyncio.gather(*(client.settle() for client in clients))
    for number, user in enumerate(world.users):
        reader = Client(900 + number, world, user, seed)
        truth = await read_all(reader)
        if truth is None:
            continue
        for client in clients:
            if client.user is user and client.model is not None:
                await client.survive(agree(client, client.model, truth))
        try:
            audit(user.ledger, truth.values())
        except Violation as violation:
            violation.who = f"audit of {user.login}"
            world.report(violation)
    await asyncio.gather(
        *(
            client.survive(_examine(client, chance.getrandbits(64)))
            for client in clients
            if client.model is not None
        )
    )


async def _rush(client: Client, seed: int) -> bool:
    """Everybody changes the same few messages at the same time, and most say that they need no answer.

    What the others did a moment before must be told to each of them all the same. RFC 9051 §6.4.6.
    """
    chance, model = random.Random(seed), client.model
    if model is not None and model.count and model.is_writable:
        some, flag = model.messages[:3], chance.choice(choices.FLAGS)
        is_silent = chance.random() < 0.7
        mode = chance.choice(("+", "-"))
        await client.perform([StoreFlags(model, some, False, mode, frozenset({flag}), is_silent)])
    return True


async def read_all(reader: Client) -> Mapping[int, Model] | None:
    """Every mailbox of an account by its UIDVALIDITY, whole, by a connection of its own; None where that failed."""
    found: dict[int, Model] = {}

    async def read() -> bool:
        await reader.connected()
        listing = ListAll()
        await reader.perform([listing])
        for name in listing.found:
            await reader.perform([Select(name, is_writable=False)])
            model = reader.model
            assert model is not None
            for start in range(0, model.count, AT_ONCE):
                some = model.messages[start : start + AT_ONCE]
                await reader.perform([FetchMessages(model, some, are_uids=False, items=WHOLE)])
            expect(model.validity not in found, "UIDVALIDITY", f"{name} has that of another mailbox")
            found[model.validity] = model
        return True

    is_read = await reader.survive(read())
    await reader.leave()
    return found if is_read else None


async def agree(client: Client, model: Model, truth: Mapping[int, Model]) -> bool:
    """What a client was told, bit by bit, is what is there."""
    there = truth.get(model.validity)
    expect(there is not None, "agreement", f"{model.name} is gone, and its session was not told")
    assert there is not None
    mine = {each.uid: each.flags for each in model.messages}
    real = {each.uid: each.flags for each in there.messages}
    words = f"of {model.name} {model.validity}, (client, reader):"
    only = sorted(mine.keys() - real.keys(), key=str), sorted(real.keys() - mine.keys(), key=str)
    expect(mine.keys() == real.keys(), "agreement", f"uids only one of them knows {words} {only}")
    differ = {
        uid: (sorted(mine[uid] or ()), sorted(real[uid] or ())) for uid in mine if mine[uid] != real[uid]
    }
    expect(not differ, "agreement", f"flags {words} {differ}")
    return True


async def _examine(client: Client, seed: int) -> bool:
    """The session's own answers agree with its model too."""
    chance, model = random.Random(seed), client.model
    if model is None:
        return True
    before = [(each.uid, each.flags) for each in model.messages]
    if before:
        await client.perform([FetchMessages(model, model.messages, are_uids=False, items=UID_FLAGS)])
    after = [(each.uid, each.flags) for each in model.messages]
    differ = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    expect(not differ, "agreement", f"(uid, flags) told and fetched, of {model.name}: {differ[:5]}")
    for _ in range(3):
        await client.perform([choices.search(client, model, chance, is_exact=True)])
    if "SEARCHRES" in client.capabilities:
        saving = SaveSearch(model, choices.key(model, chance))
        saved = SearchMessages(model, Key("$", saving.key.matches), False, False, is_exact=True)
        for request in (saving, Noop(), saved):
            await client.perform([request])
    if model.name in names.KEEPERS:
        await client.perform([Status(model.name, is_exact=True), Noop()])
    return True
