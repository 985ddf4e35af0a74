"""The audit and the agreement fail on what they are for.

The rule: a ledger is filled as clients fill it; the truth is what a reader found.
"""

from collections.abc import Mapping

import pytest

from tests.faults.stress.audit import audit
from tests.faults.stress.checkpoints import agree
from tests.faults.stress.client import Client
from tests.faults.stress.ledger import Ledger, Place
from tests.faults.stress.model import Message, Model
from tests.faults.stress.violations import Violation
from tests.faults.stress.world import User, World

INBOX, WORK, CHURN, ATTIC = 7, 8, 9, 10
NAMES = {INBOX: "INBOX", WORK: "Work", CHURN: "Churn-0", ATTIC: "Attic-0"}


def truth_of(ledger: Ledger, *there: tuple[int, int, str]) -> list[Model]:
    """A reader's models: (uidvalidity, uid, letter)."""
    models: dict[int, Model] = {}
    for validity, uid, letter in there:
        model = models.setdefault(validity, Model(NAMES[validity], False, ledger, "reader"))
        model.validity = validity
        message = Message(is_new=False)
        message.uid, message.flags = uid, frozenset()
        model.messages.append(message)
        ledger.identify(Place(validity, uid), letter)
    return list(models.values())


def a_ledger() -> Ledger:
    """a/1 was appended to INBOX, and a/2 delivered, which brings no uid."""
    ledger = Ledger()
    ledger.placed(Place(INBOX, 1), "a/1")
    ledger.delivered.add("a/2")
    return ledger


def check(ledger: Ledger, *there: tuple[int, int, str]) -> None:
    """The audit of it."""
    audit(ledger, truth_of(ledger, *there))


def test_all_is_there_once() -> None:
    """Twice, since the first audit explains what brought no uid."""
    ledger = a_ledger()
    for _ in range(2):
        check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"))


@pytest.mark.parametrize("there", [[(INBOX, 1, "a/1")], [(INBOX, 2, "a/2")], []])
def test_what_was_acknowledged_is_lost(there: list[tuple[int, int, str]]) -> None:
    """By APPEND or by a delivery."""
    with pytest.raises(Violation, match="lost"):
        check(a_ledger(), *there)


@pytest.mark.parametrize("extra", [(INBOX, 3, "a/1"), (WORK, 1, "a/2"), (WORK, 1, "b/1"), (WORK, 1, "")])
def test_what_nobody_put_there(extra: tuple[int, int, str]) -> None:
    """A second copy of a letter, or another one."""
    with pytest.raises(Violation, match="doubled"):
        check(a_ledger(), (INBOX, 1, "a/1"), (INBOX, 2, "a/2"), extra)


def test_a_letter_without_an_answer_may_be_there_once() -> None:
    """RFC 1047: once, since nobody sends it again."""
    ledger = a_ledger()
    ledger.perhaps.add("a/3")
    there = (INBOX, 1, "a/1"), (INBOX, 2, "a/2")
    check(ledger, *there)
    check(ledger, *there, (INBOX, 3, "a/3"))
    with pytest.raises(Violation, match="doubled"):
        check(ledger, *there, (INBOX, 3, "a/3"), (INBOX, 4, "a/3"))


def test_a_copy_without_an_answer_may_be_there_once() -> None:
    """Each source of a COPY brings one message or none."""
    ledger = a_ledger()
    ledger.lose(False, "Work", [Place(INBOX, 1)])
    there = (INBOX, 1, "a/1"), (INBOX, 2, "a/2")
    check(ledger, *there)
    check(ledger, *there, (WORK, 1, "a/1"))
    with pytest.raises(Violation, match="doubled"):
        check(ledger, *there, (WORK, 1, "a/1"), (WORK, 2, "a/1"))


@pytest.mark.parametrize(
    ("rule", "there"),
    [("moved", [(INBOX, 1, "a/1"), (WORK, 1, "a/1")]), ("lost", [])],
)
def test_a_move_without_an_answer_leaves_one(rule: str, there: list[tuple[int, int, str]]) -> None:
    """Never in both places, and never in none. RFC 6851 §3.3."""

    def moving() -> Ledger:
        ledger = a_ledger()
        ledger.moving.add(Place(INBOX, 1))
        ledger.lose(True, "Work", [Place(INBOX, 1)])
        return ledger

    for fine in ((INBOX, 1, "a/1"), (WORK, 1, "a/1")):
        check(moving(), (INBOX, 2, "a/2"), fine)
    with pytest.raises(Violation) as caught:
        check(moving(), (INBOX, 2, "a/2"), *there)
    assert caught.value.rule == rule


def test_a_move_without_an_answer_out_of_a_mailbox_that_was_deleted() -> None:
    """Whatever was not moved went with it."""
    ledger = a_ledger()
    ledger.perishable.add(CHURN)
    ledger.placed(Place(CHURN, 1), "a/3")
    ledger.moving.add(Place(CHURN, 1))
    ledger.lose(True, "Work", [Place(CHURN, 1)])
    check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"))


def test_what_was_moved_is_still_there() -> None:
    """RFC 6851 §3.3."""
    ledger = a_ledger()
    ledger.moving.add(Place(INBOX, 1))
    ledger.moved.add(Place(INBOX, 1))
    ledger.placed(Place(WORK, 1), source=Place(INBOX, 1))
    with pytest.raises(Violation, match="moved"):
        check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"), (WORK, 1, "a/1"))


def test_what_may_go() -> None:
    """Only what had \\Deleted, copies of that, and what lies in a mailbox that may be deleted."""
    ledger = a_ledger()
    ledger.placed(Place(WORK, 1), source=Place(INBOX, 1))
    ledger.placed(Place(CHURN, 1), source=Place(INBOX, 2))
    ledger.perishable.add(CHURN)
    check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"), (WORK, 1, "a/1"))
    with pytest.raises(Violation, match="lost"):
        check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"))
    ledger.doomed.add(Place(INBOX, 1))
    check(ledger, (INBOX, 2, "a/2"))


@pytest.mark.parametrize(("rule", "uid"), [("expunged comes back", 1), ("expunged without cause", 4)])
def test_what_was_told_to_be_expunged(rule: str, uid: int) -> None:
    """It had a reason, and it stays gone."""
    ledger = a_ledger()
    ledger.gone(Place(INBOX, uid), "client 1")
    with pytest.raises(Violation, match=rule):
        check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"))


@pytest.mark.parametrize(
    ("rule", "letter", "octets"), [("copy differs", "a/2", "x"), ("copy differs", "a/1", "y")]
)
def test_a_copy_is_another_message(rule: str, letter: str, octets: str) -> None:
    """RFC 9051 §6.4.7."""
    ledger = a_ledger()
    ledger.placed(Place(WORK, 1), source=Place(INBOX, 1))
    ledger.same(Place(INBOX, 1), "BODY[]", "x")
    ledger.same(Place(WORK, 1), "BODY[]", octets)
    with pytest.raises(Violation, match=rule):
        check(ledger, (INBOX, 1, "a/1"), (INBOX, 2, "a/2"), (WORK, 1, letter))


@pytest.mark.parametrize(
    "mine",
    [{1: "\\Seen"}, {1: "\\Seen", 2: "\\Seen"}, {1: "\\Seen", 2: "", 3: ""}, {}],
    ids=["a uid too few", "other flags", "a uid too many", "nothing"],
)
async def test_a_client_that_was_told_something_else_than_there_is(mine: Mapping[int, str]) -> None:
    """What the checkpoints compare."""

    def model_of(told: Mapping[int, str]) -> Model:
        model = Model("INBOX", True, Ledger(), "client")
        model.validity = INBOX
        for uid, flags in told.items():
            message = Message(is_new=False)
            message.uid, message.flags = uid, frozenset(flags.split())
            model.messages.append(message)
        return model

    client = Client(1, World(lambda: [0], [User("alice", "secret")]), User("alice", "secret"), "seed")
    truth = {INBOX: model_of({1: "\\Seen", 2: ""})}
    assert await agree(client, model_of({1: "\\Seen", 2: ""}), truth)
    with pytest.raises(Violation, match="agreement"):
        await agree(client, model_of(mine), truth)
    with pytest.raises(Violation, match="agreement"):
        await agree(client, model_of({1: "\\Seen", 2: ""}), {})


RENAMED = [(ATTIC, 1, "a/1"), (ATTIC, 2, "a/2")]


@pytest.mark.parametrize(
    ("rule", "there"),
    [
        ("", RENAMED),
        ("", [*RENAMED, (INBOX, 2, "a/3")]),
        ("lost", RENAMED[1:]),
        ("lost", RENAMED[:1]),
        ("moved", [(INBOX, 1, "a/1"), *RENAMED[1:]]),
        ("doubled", [*RENAMED, (ATTIC, 3, "a/1")]),
        ("doubled", [*RENAMED[1:], (WORK, 1, "a/1")]),
        ("doubled", [(INBOX, 1, "a/1"), *RENAMED]),
    ],
)
def test_what_was_in_inbox_is_in_its_new_mailbox_once(rule: str, there: list[tuple[int, int, str]]) -> None:
    """RFC 9051 §6.3.6; a/3 was appended after it."""
    ledger = a_ledger()
    ledger.opened("INBOX", INBOX, 0)
    ledger.moved |= ledger.in_inbox()
    ledger.empty_inbox("Attic-0")
    if (INBOX, 2, "a/3") in there:
        ledger.placed(Place(INBOX, 2), "a/3")
    if not rule:
        check(ledger, *there)
        check(ledger, *there)
        return
    with pytest.raises(Violation) as caught:
        check(ledger, *there)
    assert caught.value.rule == rule


@pytest.mark.parametrize("is_mortal_there", [True, False])
def test_a_nameless_copy_is_renamed_too(is_mortal_there: bool) -> None:
    """Nobody had looked at what was copied, so which letter it is shows afterwards; a/1 may have been expunged."""
    ledger = a_ledger()
    ledger.opened("INBOX", INBOX, 0)
    ledger.placed(Place(INBOX, 3), source=Place(INBOX, 2))
    ledger.doomed.add(Place(INBOX, 1))
    ledger.empty_inbox("Attic-0")
    mortal = [(ATTIC, 3, "a/1")] if is_mortal_there else []
    check(ledger, *mortal, (ATTIC, 1, "a/2"), (ATTIC, 2, "a/2"))


def test_what_was_in_inbox_is_gone_with_its_new_mailbox() -> None:
    """A rover may be deleted before anybody looks; what comes afterwards is held against the rules again."""
    ledger = a_ledger()
    ledger.opened("INBOX", INBOX, 0)
    ledger.empty_inbox("Rove-a")
    check(ledger)
    ledger.placed(Place(INBOX, 2), "a/3")
    with pytest.raises(Violation, match="lost"):
        check(ledger)
