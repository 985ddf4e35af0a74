"""Each rule about CONDSTORE and QRESYNC fails on a reply that breaks it. RFC 7162.

The rule: replies are fed as octets, as a server would send them.
"""

from collections.abc import Sequence

import pytest

from tests.faults.stress.conditional import StoreUnchanged
from tests.faults.stress.dialogue import OPENED, a_world, begin, client_of, hear, opened, request_of
from tests.faults.stress.reading import (
    FetchChanges,
    Noop,
)
from tests.faults.stress.remembering import Remembered
from tests.faults.stress.selecting import Close, Select
from tests.faults.stress.violations import Violation


@pytest.mark.parametrize(
    ("rule", "extension", "line"),
    [
        ("EXPUNGE with QRESYNC", "QRESYNC", "* 1 EXPUNGE"),
        ("EXPUNGE between commands", "QRESYNC", "* VANISHED 2"),
        ("VANISHED", "QRESYNC", "* VANISHED (EARLIER) 2"),
        ("MODSEQ", "CONDSTORE", "* 1 FETCH (UID 2 FLAGS ())"),
        ("goes back", "CONDSTORE", "* OK [HIGHESTMODSEQ 49] "),
    ],
)
def test_an_extension_that_is_forgotten(rule: str, extension: str, line: str) -> None:
    """RFC 7162 §3.1.1, §3.2.10."""
    client, _ = opened(a_world(), extension=extension)
    with pytest.raises(Violation) as caught:
        hear(client, line)
    assert caught.value.rule == rule


REMEMBERED = Remembered(7, 40, {1: frozenset(), 2: frozenset(), 4: frozenset({"\\Seen"})})
CAME = "* 3 FETCH (UID 5 FLAGS () MODSEQ (42))"


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("", ["* VANISHED (EARLIER) 1", "* 2 FETCH (UID 4 FLAGS () MODSEQ (41))", CAME]),
        ("QRESYNC", [CAME]),
        ("QRESYNC", ["* VANISHED (EARLIER) 1"]),
        ("QRESYNC", ["* VANISHED (EARLIER) 1", "* 1 FETCH (UID 3 FLAGS () MODSEQ (42))"]),
        ("VANISHED", ["* VANISHED (EARLIER) 1,5", CAME]),
    ],
)
def test_what_was_remembered_and_what_is_told_make_what_is_there(rule: str, lines: Sequence[str]) -> None:
    """RFC 7162 §3.2.5.1: three are there now; 1 went, 4 changed and 5 came."""
    client = client_of(a_world(), extension="QRESYNC")
    begin(client, Select("INBOX", True, " (QRESYNC (7 40))", REMEMBERED))
    hear(client, "* 3 EXISTS", *OPENED[2:], *lines)
    if rule:
        with pytest.raises(Violation) as caught:
            hear(client, "t OK [READ-WRITE] done")
        assert caught.value.rule == rule
        return
    hear(client, "t OK [READ-WRITE] done")
    assert client.model is not None
    none = frozenset[str]()
    assert [(each.uid, each.flags) for each in client.model.messages] == [(2, none), (4, none), (5, none)]


def test_vanished_earlier_that_nobody_asked_for() -> None:
    """RFC 7162 §3.2.10."""
    client = client_of(a_world(), extension="QRESYNC")
    begin(client, Select("INBOX", True))
    with pytest.raises(Violation, match="VANISHED"):
        hear(client, *OPENED, "* VANISHED (EARLIER) 1", "t OK [READ-WRITE] done")


@pytest.mark.parametrize(
    ("code", "modseq"), [("", 60), ("[HIGHESTMODSEQ 55] ", 55)], ids=["by the last MODSEQ", "as it was told"]
)
def test_what_is_remembered_reaches_as_far_as_was_told(code: str, modseq: int) -> None:
    """RFC 7162 §6: HIGHESTMODSEQ holds it back while expunges are."""
    client, model = opened(a_world(), extension="QRESYNC")
    begin(client, request_of("STORE", model))
    changed = [f"* {n} FETCH (UID {2 * n} FLAGS (\\Flagged) MODSEQ (60))" for n in (1, 2)]
    hear(client, *changed, f"t OK {code}done")
    begin(client, Close("CLOSE"))
    hear(client, "t OK done")
    assert client.remembered["INBOX"].modseq == modseq


@pytest.mark.parametrize("line", ["* 1 FETCH (UID 2 FLAGS () MODSEQ (40))", "* VANISHED (EARLIER) 1"])
def test_changes_that_were_not_asked_for(line: str) -> None:
    """RFC 7162 §3.1.4.1, §3.2.6."""
    client, model = opened(a_world(), extension="QRESYNC")
    begin(client, FetchChanges(model, model.messages, since=45, asks_vanished=False))
    with pytest.raises(Violation, match=r"CHANGEDSINCE|VANISHED"):
        hear(client, line)


@pytest.mark.parametrize("lines", [[], ["* VANISHED (EARLIER) 2"]])
def test_changes_are_told_whole_and_what_vanished_is_gone(lines: Sequence[str]) -> None:
    """Numbers 1 and 2 changed at 60; uid 2 cannot have vanished and still be there after NOOP."""
    client, model = opened(a_world(), extension="QRESYNC")
    hear(client, *(f"* {n} FETCH (UID {2 * n} FLAGS () MODSEQ (60))" for n in (1, 2)))
    begin(client, FetchChanges(model, model.messages, since=50, asks_vanished=True))
    told = [f"* {n} FETCH (UID {2 * n} FLAGS () MODSEQ (60))" for n in ((1, 2) if lines else (1,))]
    hear(client, *lines, *told, "t OK done")
    begin(client, Noop())
    with pytest.raises(Violation, match="left out"):
        hear(client, "t OK done")


@pytest.mark.parametrize(
    ("rule", "since", "lines"),
    [
        ("", 30, ["* 1 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (51))", "t OK [MODIFIED 2] done"]),
        ("MODIFIED", 30, ["* 1 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (51))", "t OK [MODIFIED 2,5] done"]),
        ("MODIFIED", 30, ["* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (30))", "t OK [MODIFIED 1:2] done"]),
        ("MODIFIED", 29, ["* 1 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (51))", "t OK [MODIFIED 2] done"]),
        ("STORE", 30, ["* 1 FETCH (UID 2 FLAGS () MODSEQ (51))", "t OK [MODIFIED 2] done"]),
        ("left out", 30, ["* 1 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (51))", "t OK done"]),
    ],
)
def test_a_conditional_store_changes_or_names(rule: str, since: int, lines: Sequence[str]) -> None:
    """RFC 7162 §3.1.3."""
    client, model = opened(a_world(), extension="CONDSTORE")
    flags = frozenset({"\\Flagged"})
    begin(client, StoreUnchanged(model, model.messages[:2], False, "+", flags, since))
    if not rule:
        hear(client, *lines)
        return
    with pytest.raises(Violation) as caught:
        hear(client, *lines)
    assert caught.value.rule == rule


def test_two_winners_of_one_state() -> None:
    """RFC 7162 §3.1.3: whoever comes second finds another modseq."""
    world = a_world()

    def store(number: int, modseq: int) -> None:
        client, model = opened(world, number, extension="CONDSTORE")
        begin(client, StoreUnchanged(model, model.messages[:1], False, "", frozenset({f"Tag{number}"}), 30))
        hear(client, f"* 1 FETCH (UID 2 FLAGS (Tag{number}) MODSEQ ({modseq}))", "t OK done")

    store(1, 51)
    with pytest.raises(Violation, match="two winners"):
        store(2, 52)


def test_who_changes_nothing_wins_nothing() -> None:
    """It had the flag at 30 already; the news behind the answer is what others made of it meanwhile."""
    world = a_world()
    for number, tells in ((1, (30, 52)), (2, (51,))):
        client, model = opened(world, number, extension="CONDSTORE")
        flags = frozenset({"\\Seen"})
        begin(client, StoreUnchanged(model, model.messages[:1], False, "+", flags, 30))
        told = (f"* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ ({modseq}))" for modseq in tells)
        hear(client, *told, "t OK done")


def test_of_two_that_were_not_told_the_one_vanishes_that_came_after_uidnext() -> None:
    """Numbers 5 and 6 are not known by uid; number 5 was there at SELECT."""
    client = client_of(a_world(), extension="QRESYNC")
    begin(client, Select("INBOX", True))
    hear(client, *OPENED, "t OK [READ-WRITE] done", "* 6 EXISTS")
    begin(client, Noop())
    hear(client, "* VANISHED 10", "t OK done", "* 5 FETCH (UID 9)")
