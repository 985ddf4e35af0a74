"""What was acknowledged is there once; what is there was acknowledged, or lost its answer.

The rule: it knows nothing of clients: a ledger, and everything that a reader found.
"""

from collections.abc import Iterable, Mapping

from tests.faults.stress import names
from tests.faults.stress.ledger import Ledger, Place
from tests.faults.stress.model import Model
from tests.faults.stress.violations import Violation, expect


def audit(ledger: Ledger, truth: Iterable[Model]) -> None:
    """Raises Violation. Explains what lost its answer, so that the next audit knows it as acknowledged."""
    there = {
        Place(model.validity, each.uid): model.name for model in truth for each in model.known if each.uid
    }
    _claim(ledger, there)
    _check_losses(ledger, there)
    _check_expunged(ledger, there)
    _check_moves(ledger, there)
    for place in there:
        _check_source(ledger, place)


def _claim(ledger: Ledger, there: Mapping[Place, str]) -> None:
    """Everything that was ever seen has a reason, and each reason brought one message."""
    unclaimed: list[Place] = []
    for place in sorted({*there, *ledger.names} - ledger.origin.keys()):
        name = ledger.names.get(place, "")
        if name in ledger.delivered | ledger.perhaps and name not in ledger.claimed:
            ledger.claimed.add(name)
            ledger.origin[place] = None
        else:
            unclaimed.append(place)
    for place in _claim_renamed(ledger, there, unclaimed):
        name = ledger.names.get(place, "")
        if (source := _lost_copy(ledger, name, there)) is not None:
            ledger.origin[place] = source
        else:
            words = (
                f"{place} in {there.get(place, 'a mailbox that is gone')} holds {name or 'no letter of ours'}"
            )
            raise Violation("doubled", f"{words}, and nothing put it there")
    never = ledger.delivered - ledger.claimed
    if ledger.is_scattered:  # what is not there went to a mailbox that was deleted before anybody looked
        ledger.is_scattered = False
        ledger.claimed |= never
        ledger.moving |= ledger.in_inbox() - there.keys()
        return
    expect(not never, "lost", f"delivered and not there: {sorted(never)[:10]}")


def _claim_renamed(ledger: Ledger, there: Mapping[Place, str], unclaimed: Iterable[Place]) -> list[Place]:
    """Claims what a RENAME took out of INBOX; answers what it did not bring.

    First by what nothing else may have taken; a copy of what nobody had looked at has no name, and may be any of them.
    """
    left: dict[str, list[Place]] = {}
    if ledger.renames:
        for place in sorted(ledger.in_inbox() - there.keys() - ledger.renamed, reverse=True):
            left.setdefault(ledger.name(place), []).append(place)
    mortal = {name: [each for each in places if ledger.may_go(each)] for name, places in left.items()}
    sure = {name: [each for each in places if not ledger.may_go(each)] for name, places in left.items()}
    others: list[Place] = []
    perhaps: list[Place] = []
    for place in unclaimed:
        name = ledger.names.get(place, "")
        if not _may_be_renamed(ledger, there.get(place) or ledger.mailboxes.get(place.validity, "")):
            others.append(place)
        elif sure.get(name):
            _rename(ledger, place, sure[name].pop())
        else:
            perhaps.append(place)
    # Those that can be a nameless one alone come first.
    for place in sorted(perhaps, key=lambda each: bool(mortal.get(ledger.names.get(each, "")))):
        sources = sure.get("") or mortal.get(ledger.names.get(place, ""))
        if sources:
            _rename(ledger, place, sources.pop())
        else:
            others.append(place)
    return others


def _rename(ledger: Ledger, place: Place, source: Place) -> None:
    ledger.renamed.add(source)
    ledger.origin[place] = source if ledger.name(source) else None


def _may_be_renamed(ledger: Ledger, mailbox: str) -> bool:
    """Whether INBOX was renamed to this; rovers are renamed further."""
    if names.is_perishable(mailbox):
        return any(map(names.is_perishable, ledger.renames))
    return mailbox in ledger.renames


def _lost_copy(ledger: Ledger, name: str, there: Mapping[Place, str]) -> Place | None:
    """The source of a COPY or MOVE without an answer that explains one more of these."""
    for lost in ledger.lost:
        for source in sorted(lost.sources - lost.used):
            if ledger.name(source) == name:
                lost.used.add(source)
                expect(not (lost.is_move and source in there), "moved", f"{source} is in both places")
                return source
    return None


def _check_losses(ledger: Ledger, there: Mapping[Place, str]) -> None:
    gone = [place for place in ledger.origin if place not in there and not ledger.may_go(place)]
    words = [
        f"{ledger.name(place)} at {place} in {ledger.mailboxes.get(place.validity)}" for place in gone[:5]
    ]
    expect(not gone, "lost", f"acknowledged and not there: {', '.join(words)}; {len(gone)} in all")


def _check_expunged(ledger: Ledger, there: Mapping[Place, str]) -> None:
    back = [place for place in ledger.expunged if place in there]
    expect(not back, "expunged comes back", f"{back[:5]} were told to be expunged")
    # A COPY without an answer or a RENAME of INBOX may have brought what had \\Deleted, to a uid that nobody knows.
    known = ledger.origin if ledger.lost or ledger.renames else ledger.expunged
    groundless = [place for place in ledger.expunged if place in known and not ledger.may_go(place)]
    expect(
        not groundless,
        "expunged without cause",
        f"{[(each, ledger.expunged[each]) for each in groundless[:5]]}",
    )


def _check_moves(ledger: Ledger, there: Mapping[Place, str]) -> None:
    still = [place for place in ledger.moved if place in there]
    expect(not still, "moved", f"{still[:5]} were moved away and are still there")
    explained = there.keys() | ledger.moved | ledger.doomed
    for lost in ledger.lost:
        if not lost.is_move or names.is_perishable(lost.target):
            continue
        left = {each for each in lost.sources if each.validity not in ledger.perishable} - explained
        arrived = not left or any(each.used for each in ledger.lost if each.sources & left)
        expect(arrived, "lost", f"a MOVE of {sorted(left)} without an answer left them nowhere")


def _check_source(ledger: Ledger, place: Place) -> None:
    source = ledger.origin.get(place)
    if source is None:
        return
    expect(
        ledger.name(source) in ("", ledger.name(place)),
        "copy differs",
        f"{place} is not the letter of {source}",
    )
    for item in ("BODY[]", "RFC822.SIZE"):
        ours, theirs = ledger.known(place, item), ledger.known(source, item)
        expect(
            not ours or not theirs or ours == theirs,
            "copy differs",
            f"{item} of {place} is not that of {source}",
        )
