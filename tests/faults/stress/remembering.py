"""What a client keeps of a mailbox that it leaves, and takes up again by QRESYNC. RFC 7162 §3.2.5.

The rule: what it took up is never fetched again before the next checkpoint, so that whatever the server forgot to tell
shows there.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.stress.model import Message, Model
from tests.faults.stress.violations import expect


@dataclass(frozen=True, slots=True)
class Remembered:
    """A mailbox as it was left: everything up to a modseq."""

    validity: int
    modseq: int
    flags: Mapping[int, frozenset[str]]
    is_limited: bool = False  # whether only the uids that are known were asked after


def remember(model: Model) -> Remembered | None:
    """None where not everything is known."""
    flags = {
        each.uid: each.flags for each in model.messages if each.uid is not None and each.flags is not None
    }
    if len(flags) != model.count or not model.highest_modseq:
        return None
    return Remembered(model.validity, model.highest_modseq, flags)


def spell(remembered: Remembered, chance: random.Random) -> tuple[str, bool]:
    """The parameter of SELECT, and whether it limits the answer to known uids. RFC 7162 §3.2.5.1, §3.2.5.2."""
    uids = sorted(remembered.flags)
    start = f"{remembered.validity} {remembered.modseq}"
    if not uids or chance.random() < 0.4:
        return f" (QRESYNC ({start}))", False
    known = ",".join(map(str, uids)) if chance.random() < 0.5 else f"1:{uids[-1]}"
    if chance.random() < 0.5:
        return f" (QRESYNC ({start} {known}))", True
    places = sorted(chance.sample(range(len(uids)), min(len(uids), 4)))
    numbers = ",".join(str(place + 1) for place in places)
    matched = ",".join(str(uids[place]) for place in places)
    return f" (QRESYNC ({start} {known} ({numbers} {matched})))", True


def take_up(model: Model, remembered: Remembered) -> None:
    """What was remembered, less what vanished, and what was told beside it, are the messages that are there."""
    old = [each for each in model.messages if not each.is_new]
    told = {each.uid for each in old if each.uid is not None}
    expect(
        not told & model.vanished_earlier,
        "VANISHED",
        f"{told & model.vanished_earlier} are told to be there too",
    )
    kept = remembered.flags.keys() - model.vanished_earlier - model.vanished_now
    # Whoever asked after known uids alone learns of others when he fetches them; they stand behind.
    due = sorted(kept if remembered.is_limited else kept | told)
    words = f"{model.name}: {len(old)} EXISTS, and {len(due)} are left of what was known and told"
    expect(len(due) == len(old) or (remembered.is_limited and len(due) <= len(old)), "QRESYNC", words)
    for message, uid in zip(old, due, strict=False):
        _give(message, uid, remembered)


def _give(message: Message, uid: int, remembered: Remembered) -> None:
    expect(message.uid in (None, uid), "QRESYNC", f"uid {message.uid} stands where {uid} should")
    message.uid = uid
    if message.flags is None:
        message.flags = remembered.flags.get(uid)
