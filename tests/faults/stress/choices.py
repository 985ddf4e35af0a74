"""What a client does next: one command, or several in one write.

The rule: a step decides by a random source of its own, so that the same seed brings the same steps however the replies
differ. Whatever cannot be expunged without anybody's wish is half of all messages: only even uids are deleted, and
only letters whose names are known, so that the audit can tell what must still be there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.faults.stress import names
from tests.faults.stress.conditional import StoreUnchanged
from tests.faults.stress.letters import letter
from tests.faults.stress.model import Message, Model
from tests.faults.stress.reading import (
    ITEMS,
    UID_FLAGS,
    Check,
    FetchChanges,
    FetchMessages,
    Idle,
    Key,
    ListAll,
    Noop,
    SearchMessages,
    Status,
)
from tests.faults.stress.remembering import spell
from tests.faults.stress.requests import Request
from tests.faults.stress.selecting import Close, Create, Delete, Rename, RenameInbox, Select
from tests.faults.stress.world import Undecided
from tests.faults.stress.writing import DELETED, Append, Copy, Expunge, Move, StoreFlags, UidExpunge

if TYPE_CHECKING:
    from tests.faults.stress.client import Client

FLAGS = ("\\Seen", "\\Answered", "\\Flagged", "\\Draft", "$Forwarded", "$Junk", "Urgent", "Later")
FULL = 250  # messages of a mailbox above which odd uids go too
PIPELINED = 0.4
RETURNING = 0.2
# Half of all are in INBOX, and a third of what they do is done to its first messages, so that they meet.
CROWDED = 3
OPENED = (
    *(names.INBOX,) * 12,
    *names.KEEPERS * 2,
    *names.WANDERERS,
    *names.ATTICS[:3],
    *names.CHURN,
    *names.ROVERS,
)


def choose(client: Client, chance: random.Random) -> list[Request]:
    """The next commands. RFC 9051 §5.5: what goes by number is pipelined only behind what brings no EXPUNGE."""
    model = client.model
    if model is None:
        return [_unselected(client, chance)]
    if client.tells_vanished and client.last and client.last.forbids_expunge and chance.random() < RETURNING:
        # Away while expunges are held back, and back again: HIGHESTMODSEQ must not have gone past them.
        client.returning = model.name
        return [Close("UNSELECT")]
    if model.first_unknown and chance.random() < 0.5:
        unknown = model.messages[model.first_unknown - 1 :]
        return [FetchMessages(model, unknown, are_uids=False)]
    if chance.random() >= PIPELINED or not client.world.is_ours:
        return [_selected(client, model, chance)]
    group: list[Request] = []
    for _ in range(chance.randint(2, 6)):
        request = _selected(client, model, chance)
        if request.uses_numbers and any(not each.forbids_expunge for each in group):
            continue
        group.append(request)
        if request.is_last:
            break
    return group or [Noop()]


def _unselected(client: Client, chance: random.Random) -> Request:
    if client.returning:
        name, client.returning = client.returning, ""
        return _open(client, name, chance)
    if chance.random() < 0.7:
        return _select(client, None, chance)
    return chance.choice((_append, _manage, _status, _noop, _list))(client, None, chance)


def _selected(client: Client, model: Model, chance: random.Random) -> Request:
    make = chance.choices([make for make, _ in _TABLE], [weight for _, weight in _TABLE])[0]
    return make(client, model, chance)


Maker = Callable[["Client", Model | None, random.Random], Request]


def _some(model: Model, chance: random.Random, most: int = 40) -> tuple[list[Message], bool]:
    """A few messages, neighbours or not, and whether they are named by uid."""
    are_uids = chance.random() < 0.5
    pool = model.known if are_uids else model.messages
    if not pool:
        return [], are_uids
    if chance.random() < 0.3:
        pool = pool[:CROWDED]
    size = min(len(pool), chance.choice((1, 1, 2, 5, most, len(pool))))
    if chance.random() < 0.5:
        return chance.sample(pool, size), are_uids
    first = chance.randrange(len(pool) - size + 1)
    return pool[first : first + size], are_uids


def _fetch(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    if client.tells_modseqs and model.known and chance.random() < 0.2:
        since = max(1, chance.choice((model.highest_modseq, *(each.modseq for each in model.known))))
        return FetchChanges(model, model.known, since, client.tells_vanished and chance.random() < 0.7)
    items = chance.choice((UID_FLAGS, *ITEMS))
    # Whole messages only of a few.
    some, are_uids = _some(model, chance, 8 if "BODY" in items[0] or "RFC822" in items[0] else 60)
    if "[]" in items[0] or items[0] == "RFC822":
        some = some[:12]
    return FetchMessages(model, some, are_uids, items) if some else Noop()


def _store(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    some, are_uids = _some(model, chance)
    flags = frozenset(chance.sample(FLAGS, chance.choice((1, 1, 1, 2, 3))))
    mode = chance.choice(("+", "+", "-", "-", ""))
    if mode == "" and chance.random() < 0.2:
        flags = frozenset()
    if some and client.tells_modseqs and chance.random() < 0.4:
        since = max(1, chance.choice(some).modseq or model.highest_modseq)
        return StoreUnchanged(model, some, are_uids, mode, flags, since)
    is_silent = chance.random() < 0.3
    return StoreFlags(model, some, are_uids, mode, flags, is_silent) if some else Noop()


def _mortal(model: Model, chance: random.Random) -> list[Message]:
    """Messages that may go."""
    top = model.known[-FULL].uid or 0 if len(model.known) > FULL else 0
    mortal = [
        each
        for each in model.known
        if each.uid is not None
        and (each.uid % 2 == 0 or each.uid < top)
        and (place := model.place(each)) is not None
        and model.ledger.name(place)
    ]
    return chance.sample(mortal, min(len(mortal), chance.choice((1, 2, 4, 8))))


def _delete_messages(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    some, are_uids = _mortal(model, chance), chance.random() < 0.5
    if not some:
        return Noop()
    is_silent = chance.random() < 0.3
    return StoreFlags(model, some, are_uids, "+", frozenset({DELETED}), is_silent)


def _undelete(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    some, are_uids = _some(model, chance)
    return StoreFlags(model, some, are_uids, "-", frozenset({DELETED}), False) if some else Noop()


def _expunge(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    if chance.random() < 0.6 or "UIDPLUS" not in client.capabilities:
        return Expunge(model)
    some = chance.sample(model.known, min(len(model.known), 10))
    return UidExpunge(model, some) if some else Expunge(model)


def _copy(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    some, are_uids = _some(model, chance, 5)
    if not some or any(each.uid is None for each in some):
        return Noop()
    return Copy(model, some[:8], are_uids, chance.choice(names.ALL))


def _move(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    some = _mortal(model, chance)
    if "MOVE" not in client.capabilities or not some or not (model.is_writable or client.world.is_ours):
        return _copy(client, model, chance)
    return Move(model, some, chance.random() < 0.5, chance.choice(names.ALL))


def key(model: Model, chance: random.Random) -> Key:
    """A search key of any depth."""

    def flagged(word: str, flag: str, is_set: bool) -> Key:
        return Key(word, lambda message, _: (flag in (message.flags or ())) == is_set)

    if chance.random() < 0.3:
        one, other = key(model, chance), key(model, chance)
        uses_numbers = one.uses_numbers or other.uses_numbers
        first, second = one.matches, other.matches
        assert first is not None
        assert second is not None
        return chance.choice(
            (
                Key(f"OR {one.text} {other.text}", lambda m, n: first(m, n) or second(m, n), uses_numbers),
                Key(f"({one.text} {other.text})", lambda m, n: first(m, n) and second(m, n), uses_numbers),
                Key(f"NOT {one.text}", lambda m, n: not first(m, n), one.uses_numbers),
            )
        )
    low, high = sorted((chance.randint(1, max(model.count, 1)), chance.randint(1, max(model.count, 1))))
    uids = chance.randint(1, 60), chance.randint(60, 400)
    simple = [
        Key("ALL", lambda *_: True),
        flagged("SEEN", "\\Seen", True),
        flagged("UNSEEN", "\\Seen", False),
        flagged("DELETED", DELETED, True),
        flagged("UNDELETED", DELETED, False),
        flagged("FLAGGED", "\\Flagged", True),
        flagged("UNANSWERED", "\\Answered", False),
        flagged("KEYWORD Urgent", "Urgent", True),
        flagged("UNKEYWORD $Junk", "$Junk", False),
        Key(f"UID {uids[0]}:{uids[1]}", lambda message, _: uids[0] <= (message.uid or 0) <= uids[1]),
    ]
    if model.count:
        simple.append(Key(f"{low}:{high}", lambda _, number: low <= number <= high, uses_numbers=True))
    return chance.choice(simple)


def _search(client: Client, model: Model | None, chance: random.Random) -> Request:
    assert model is not None
    return search(client, model, chance, is_exact=False)


def search(client: Client, model: Model, chance: random.Random, is_exact: bool) -> SearchMessages:
    """SEARCH, in one of its forms."""
    is_extended = "ESEARCH" in client.capabilities and chance.random() < 0.4
    return SearchMessages(model, key(model, chance), chance.random() < 0.5, is_extended, is_exact)


def _append(client: Client, model: Model | None, chance: random.Random) -> Request:
    name = client.next_letter()
    mailbox = chance.choice((*names.KEEPERS, *names.KEEPERS, *names.ALL))
    flags, octets = chance.sample(FLAGS, chance.choice((0, 0, 1, 3))), letter(name, chance)
    client.ledger.written(name, octets)
    return Append(mailbox, name, octets, flags, chance.random() < 0.3)


def _manage(client: Client, model: Model | None, chance: random.Random) -> Request:
    one, other = chance.sample(names.ROVERS, 2)
    place, another = chance.sample(names.WANDERERS, 2)
    return chance.choices(
        [
            Create(chance.choice(names.PERISHABLE)),
            Delete(chance.choice(names.PERISHABLE)),
            Rename(one, other),
            Rename(place, another),
            RenameInbox(chance.choice((*names.ATTICS, *names.ROVERS))),
        ],
        # Dovecot's sessions do not survive that a mailbox is renamed.
        (10, 6, 4, 4, 3) if client.world.is_ours else (10, 6, 0, 0, 0),
    )[0]


def _status(client: Client, model: Model | None, chance: random.Random) -> Request:
    others = [each for each in names.ALL if client.world.is_ours or model is None or each != model.name]
    return Status(chance.choice(others), asks_modseq=client.tells_modseqs)


def _noop(client: Client, model: Model | None, chance: random.Random) -> Request:
    return Noop() if chance.random() < 0.8 or model is None else Check()


def _list(client: Client, model: Model | None, chance: random.Random) -> Request:
    return ListAll()


def _idle(client: Client, model: Model | None, chance: random.Random) -> Request:
    return Idle(chance.random() * 0.6)


def _select(client: Client, model: Model | None, chance: random.Random) -> Request:
    return _open(client, chance.choice(OPENED), chance)


def _open(client: Client, name: str, chance: random.Random) -> Request:
    is_writable = chance.random() < 0.8
    remembered = client.remembered.get(name)
    if not client.tells_vanished or remembered is None or chance.random() < 0.2:
        return Select(name, is_writable, " (CONDSTORE)" if client.tells_modseqs else "")
    parameters, is_limited = spell(remembered, chance)
    return Select(name, is_writable, parameters, replace(remembered, is_limited=is_limited))


def _close(client: Client, model: Model | None, chance: random.Random) -> Request:
    return Close("CLOSE" if chance.random() < 0.7 or "UNSELECT" not in client.capabilities else "UNSELECT")


_TABLE: Sequence[tuple[Maker, int]] = (
    (_fetch, 24),
    (_store, 18),
    (_search, 10),
    (_append, 7),
    (_copy, 4),
    (_move, 3),
    (_delete_messages, 7),
    (_undelete, 1),
    (_expunge, 6),
    (_noop, 6),
    (_idle, 4),
    (_status, 3),
    (_manage, 3),
    (_list, 1),
    (_select, 4),
    (_close, 1),
)


async def deliver(client: Client, chance: random.Random) -> None:
    """A letter to this account by one of the other ways in; it is acknowledged when this returns, or may have come."""
    name = client.next_letter()
    octets, way = letter(name, chance), chance.choice(client.user.ways)
    client.ledger.written(name, octets)
    client.ledger.perhaps.add(name)
    try:
        place = await way(octets)
    except Undecided:
        return
    client.ledger.perhaps.discard(name)
    if place is None:
        client.ledger.delivered.add(name)
    else:
        client.ledger.placed(place, name)
    client.done["(deliver)"] += 1
