"""Each rule about untagged replies fails on one that breaks it, and lets pass what is allowed.

The rule: replies are fed as octets, as a server would send them.
"""

from collections.abc import Sequence

import pytest

from tests.faults.stress.dialogue import OPENED, a_world, begin, client_of, hear, opened, request_of
from tests.faults.stress.reading import (
    Noop,
)
from tests.faults.stress.selecting import Select
from tests.faults.stress.violations import Violation


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("EXISTS falls", ["* 4 EXISTS"]),
        ("RECENT", ["* 6 RECENT"]),
        ("no such number", ["* 6 FETCH (FLAGS ())"]),
        ("no such number", ["* 0 FETCH (FLAGS ())"]),
        ("number and uid", ["* 1 FETCH (UID 3)"]),
        ("uids rise", ["* 6 EXISTS", "* 6 FETCH (UID 9)"]),
        ("uids rise", ["* 7 EXISTS", "* 7 FETCH (UID 10)"]),
        ("uids rise", ["* 7 EXISTS", "* 7 FETCH (UID 12)", "* 6 FETCH (UID 12)"]),
        ("octets change", ["* 1 FETCH (BODY[] {2}\r\nab)", "* 1 FETCH (BODY[] {2}\r\nac)"]),
        ("octets change", ["* 1 FETCH (RFC822 {2}\r\nab)", "* 1 FETCH (BODY[] {2}\r\nac)"]),
        ("octets change", ["* 1 FETCH (RFC822.SIZE 3)", "* 1 FETCH (BODY[] {2}\r\nac)"]),
        ("octets change", ["* 1 FETCH (ENVELOPE (NIL))", "* 1 FETCH (ENVELOPE (NIL NIL))"]),
        (
            "another letter",
            [
                "* 1 FETCH (BODY[HEADER] {15}\r\nX-Stress: a/1\r\n)",
                "* 1 FETCH (BODY[HEADER] {15}\r\nX-Stress: a/2\r\n)",
            ],
        ),
        ("goes back", ["* 1 FETCH (MODSEQ (29))"]),
        ("modseq", ["* 1 FETCH (FLAGS () MODSEQ (30))"]),
        ("EXPUNGE between commands", ["* 1 EXPUNGE"]),
        ("VANISHED without QRESYNC", ["* VANISHED 2"]),
        ("untagged", ["* NO something"]),
        ("SEARCH", ["* SEARCH 1"]),
        ("tag", ["t9 OK done"]),
        ("BYE", ["* BYE bye"]),
        ("grammar", ["* 1 FETCH FLAGS"]),
        ("grammar", ["* 1 FETCH (FLAGS () FLAGS ())"]),
    ],
)
def test_an_untagged_reply_that_breaks_a_rule(rule: str, lines: Sequence[str]) -> None:
    """RFC 9051 §2.3.1, §7.4.1, §7.5.1, §7.5.2; RFC 7162 §3.1."""
    client, _ = opened(a_world())
    with pytest.raises(Violation) as caught:
        hear(client, *lines)
    assert caught.value.rule == rule


def test_uidnext_is_above_what_was_there_and_not_above_what_comes() -> None:
    """RFC 9051 §2.3.1.1."""
    client = client_of(a_world())
    begin(client, Select("INBOX", is_writable=True))
    hear(client, *OPENED[:3], "* OK [UIDNEXT 20] ", "t OK [READ-WRITE] done")
    with pytest.raises(Violation, match="UIDNEXT"):
        hear(client, "* 5 FETCH (UID 20)")
    hear(client, "* 6 EXISTS")
    with pytest.raises(Violation, match="UIDNEXT"):
        hear(client, "* 6 FETCH (UID 19)")


@pytest.mark.parametrize("kind", ["FETCH", "STORE", "SEARCH"])
@pytest.mark.parametrize("line", ["* 5 EXPUNGE", "* VANISHED 9"])
def test_expunge_is_never_told_during_a_command_by_number(kind: str, line: str) -> None:
    """RFC 9051 §7.5.1, RFC 7162 §3.2.10."""
    client, model = opened(a_world(), extension="QRESYNC" if "VANISHED" in line else "")
    begin(client, request_of(kind, model))
    with pytest.raises(Violation, match="EXPUNGE during"):
        hear(client, line)


@pytest.mark.parametrize("kind", ["UID FETCH", "UID STORE", "UID SEARCH", "COPY", "NOOP", "IDLE", "EXPUNGE"])
@pytest.mark.parametrize("line", ["* 5 EXPUNGE", "* VANISHED 9"])
def test_expunge_may_be_told_during_any_other(kind: str, line: str) -> None:
    """RFC 9051 §7.5.1: commands by uid are other commands."""
    client, model = opened(a_world(), extension="QRESYNC" if "VANISHED" in line else "")
    begin(client, request_of(kind, model))
    hear(client, line)
    assert [each.uid for each in model.messages] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("rule", "line"),
    [("no such number", "* 6 EXPUNGE"), ("no such uid", "* VANISHED 3"), ("no such uid", "* VANISHED 10")],
)
def test_expunge_of_what_was_never_there(rule: str, line: str) -> None:
    """RFC 7162 §3.2.10: a uid that the client was never told has not vanished."""
    client, _ = opened(a_world(), extension="QRESYNC" if "VANISHED" in line else "")
    begin(client, Noop())
    with pytest.raises(Violation) as caught:
        hear(client, line)
    assert caught.value.rule == rule


def test_a_uid_that_vanishes_may_be_one_that_was_not_told() -> None:
    """EXISTS came, and its FETCH did not yet."""
    client, model = opened(a_world(), extension="QRESYNC")
    hear(client, "* 7 EXISTS")
    begin(client, Noop())
    hear(client, "* VANISHED 12")
    assert model.count == 6


@pytest.mark.parametrize(
    ("rule", "name", "lines"),
    [
        ("goes back", "INBOX", ["* OK [UIDVALIDITY 6] "]),
        ("SELECT", "INBOX", ["* 1 EXISTS", "t OK [READ-WRITE] done"]),
        ("SELECT", "INBOX", ["* OK [UIDVALIDITY 7] ", "* OK [UIDNEXT 10] ", "t OK [READ-WRITE] done"]),
        ("SELECT", "INBOX", [*OPENED, "t OK [READ-ONLY] done"]),
        ("SELECT", "INBOX", ["t OK [READ-WRITE] done"]),
        ("UIDNEXT", "INBOX", ["* 10 EXISTS", *OPENED[2:], "t OK [READ-WRITE] done"]),
        ("goes back", "INBOX", [*OPENED[:3], "* OK [UIDNEXT 9] ", "t OK [READ-WRITE] done"]),
        ("goes back", "INBOX", [*OPENED[:4], "* OK [HIGHESTMODSEQ 49] ", "t OK [READ-WRITE] done"]),
        ("UNSEEN", "INBOX", ["* 5 EXISTS", "* OK [UNSEEN 6] "]),
        ("CLOSED", "INBOX", ["* OK [CLOSED] "]),
        ("refused", "INBOX", ["t NO [NONEXISTENT] no"]),
        ("refused", "Churn-0", ["t NO [SERVERBUG] oh"]),
        ("refused", "Churn-0", ["t BAD what"]),
    ],
)
def test_select_that_breaks_a_rule(rule: str, name: str, lines: Sequence[str]) -> None:
    """RFC 9051 §6.3.2; what another client was told before is never taken back."""
    world = a_world()
    opened(world)
    client = client_of(world, 2)
    begin(client, Select(name, is_writable=True))
    with pytest.raises(Violation) as caught:
        hear(client, *lines)
    assert caught.value.rule == rule


def test_select_that_was_sent_earlier_may_know_less() -> None:
    """Two answers cross."""
    world = a_world()
    client = client_of(world, 2)
    begin(client, Select("INBOX", is_writable=True))
    opened(world)
    hear(client, "* 0 EXISTS", "* OK [UIDVALIDITY 7] ", "* OK [UIDNEXT 5] ", "t OK [READ-WRITE] done")


def test_a_second_mailbox_needs_closed() -> None:
    """RFC 9051 §7.1: without it nobody knows whose EXISTS this is."""
    client, _ = opened(a_world())
    begin(client, Select("Work", is_writable=True))
    with pytest.raises(Violation, match="EXISTS falls"):
        hear(client, "* 3 EXISTS")


def test_recent_to_two_sessions() -> None:
    """RFC 3501 §2.3.2."""
    world = a_world()
    (one, _), (other, _) = opened(world, 1), opened(world, 2)
    hear(one, "* 1 FETCH (FLAGS (\\Recent))")
    with pytest.raises(Violation, match="recent twice"):
        hear(other, "* 1 FETCH (FLAGS (\\Recent))")


def test_octets_differ_between_clients() -> None:
    """RFC 9051 §2.3.1.1: one message, forever."""
    world = a_world()
    (one, _), (other, _) = opened(world, 1), opened(world, 2)
    hear(one, "* 1 FETCH (BODY[TEXT] {2}\r\nab)")
    with pytest.raises(Violation, match="octets change"):
        hear(other, "* 1 FETCH (BODY[TEXT] {2}\r\nba)")


def test_a_number_that_moved_shows_by_its_octets() -> None:
    """An EXPUNGE that was forgotten: number 2 is somebody else now."""
    client, _ = opened(a_world())
    hear(client, "* 2 FETCH (BODY[TEXT] {2}\r\nab)", "* 3 FETCH (BODY[TEXT] {2}\r\ncd)")
    with pytest.raises(Violation, match="octets change"):
        hear(client, "* 2 FETCH (BODY[TEXT] {2}\r\ncd)")


def test_what_a_session_was_told_to_be_expunged_comes_back() -> None:
    """RFC 9051 §2.3.1.1: a uid is never used again."""
    client, _ = opened(a_world())
    begin(client, Noop())
    hear(client, "* 5 EXPUNGE", "* 5 EXISTS")
    with pytest.raises(Violation, match="UIDNEXT"):
        hear(client, "* 5 FETCH (UID 9)")
