"""Each rule of the checker fails on a reply that breaks it, and lets pass what is allowed.

The rule: replies are fed as octets, as a server would send them.
"""

import random
from collections.abc import Sequence

import pytest

from tests.faults.stress.client import Client
from tests.faults.stress.model import Model
from tests.faults.stress.reading import (
    ITEMS,
    UID_FLAGS,
    FetchMessages,
    Idle,
    Key,
    ListAll,
    Noop,
    SearchMessages,
    Status,
)
from tests.faults.stress.remembering import Remembered
from tests.faults.stress.replies import parse
from tests.faults.stress.requests import Request
from tests.faults.stress.selecting import Close, Create, Delete, Rename, Select
from tests.faults.stress.violations import Violation
from tests.faults.stress.wire import Gone
from tests.faults.stress.world import User, World
from tests.faults.stress.writing import Append, Copy, Expunge, Move, StoreFlags

UIDS = (2, 4, 6, 8, 9)
OPENED = (
    "* 5 EXISTS",
    "* 0 RECENT",
    "* OK [UIDVALIDITY 7] ",
    "* OK [UIDNEXT 10] ",
    "* OK [HIGHESTMODSEQ 50] ",
)


def client_of(world: World, number: int = 1, extension: str = "") -> Client:
    """A client that is not connected."""
    client = Client(number, world, world.users[0], "seed")
    client.extension, client.capabilities = extension, frozenset({"IMAP4rev1", "CONDSTORE", "QRESYNC"})
    return client


def a_world() -> World:
    """One account, no server."""
    return World(lambda: [0], [User("alice", "secret")])


def begin(client: Client, request: Request, tag: str = "t") -> None:
    """A command that was sent."""
    request.tag = tag
    request.sent(client)
    client.inflight.append(request)


def hear(client: Client, *lines: str) -> None:
    """What the server says."""
    for line in lines:
        client.take(parse(line.encode() + b"\r\n"))


def opened(
    world: World, number: int = 1, name: str = "INBOX", is_writable: bool = True, extension: str = ""
) -> tuple[Client, Model]:
    """A client with a mailbox of five messages, whose uids and flags it knows."""
    client = client_of(world, number, extension)
    begin(client, Select(name, is_writable))
    hear(client, *OPENED, f"t OK [{'READ-WRITE' if is_writable else 'READ-ONLY'}] done")
    assert client.model is not None
    hear(client, *(f"* {n} FETCH (UID {uid} FLAGS (\\Seen) MODSEQ (30))" for n, uid in enumerate(UIDS, 1)))
    return client, client.model


def request_of(kind: str, model: Model) -> Request:
    """A command by name."""
    some, are_uids = model.messages[:2], kind.startswith("UID")
    flags = frozenset({"\\Flagged"})
    made: dict[str, Request] = {
        "FETCH": FetchMessages(model, some, are_uids),
        "STORE": StoreFlags(model, some, are_uids, "+", flags, False),
        "SEARCH": SearchMessages(model, Key("ALL"), are_uids, False, False),
        "COPY": Copy(model, some, are_uids, "Work"),
        "NOOP": Noop(),
        "IDLE": Idle(0),
        "EXPUNGE": Expunge(model),
    }
    return made[kind.removeprefix("UID ")]


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


@pytest.mark.parametrize(
    ("rule", "are_uids", "line"),
    [
        ("no such number", False, "* SEARCH 6"),
        ("no such number", False, "* SEARCH 0"),
        ("no such uid", True, "* SEARCH 3"),
        ("no such uid", True, "* SEARCH 10"),
        ("SEARCH twice", True, "* SEARCH 2 2"),
        ("SEARCH", True, "t OK done"),
        ("SEARCH", True, "* SEARCH 2 4 6 8"),
    ],
)
def test_search_that_breaks_a_rule(rule: str, are_uids: bool, line: str) -> None:
    """RFC 9051 §6.4.4; nothing changes meanwhile, so ALL finds all."""
    client, model = opened(a_world())
    begin(client, SearchMessages(model, Key("ALL", lambda *_: True), are_uids, False, is_exact=True))
    with pytest.raises(Violation) as caught:
        hear(client, line, "t OK done")
    assert caught.value.rule == rule


@pytest.mark.parametrize(
    "line",
    [
        '* ESEARCH (TAG "t") COUNT 1 MIN 1 MAX 2 ALL 1:2',
        '* ESEARCH (TAG "t") COUNT 2 MIN 2 MAX 2 ALL 1:2',
        '* ESEARCH (TAG "t") COUNT 2 MIN 1 ALL 1:2',
        '* ESEARCH (TAG "x") COUNT 2 MIN 1 MAX 2 ALL 1:2',
        '* ESEARCH (TAG "t") UID COUNT 2 MIN 1 MAX 2 ALL 1:2',
    ],
)
def test_esearch_that_contradicts_itself(line: str) -> None:
    """RFC 4731 §3.1."""
    client, model = opened(a_world())
    begin(client, SearchMessages(model, Key("ALL"), False, True, is_exact=False))
    with pytest.raises(Violation, match="ESEARCH"):
        hear(client, line, "t OK done")


def test_fetch_that_passes_over_a_number() -> None:
    """OK says that all were told; NO [EXPUNGEISSUED] says that some are gone. RFC 9051 §7.1."""
    client, model = opened(a_world())
    begin(client, FetchMessages(model, model.messages[:2], are_uids=False, items=UID_FLAGS))
    hear(client, "* 1 FETCH (UID 2 FLAGS ())")
    with pytest.raises(Violation, match="left out"):
        hear(client, "t OK done")


def test_fetch_that_tells_less_than_was_asked() -> None:
    """FLAGS of somebody else's change are no answer."""
    client, model = opened(a_world())
    begin(client, FetchMessages(model, model.messages[:1], are_uids=False, items=ITEMS[2]))
    hear(client, "* 1 FETCH (UID 2 FLAGS ())")
    with pytest.raises(Violation, match="left out"):
        hear(client, "t OK done")


def test_what_was_passed_over_is_gone_by_the_next_noop() -> None:
    """RFC 9051 §6.1.2."""
    client, model = opened(a_world())
    begin(client, FetchMessages(model, model.messages[:2], are_uids=True))
    hear(client, "* 1 FETCH (UID 2 FLAGS ())", "t OK done")
    begin(client, Noop())
    with pytest.raises(Violation, match="left out"):
        hear(client, "t OK done")


def test_expungeissued_needs_somebody_who_is_gone() -> None:
    """RFC 9051 §7.1, EXPUNGEISSUED."""
    client, model = opened(a_world())
    begin(client, FetchMessages(model, model.messages[:1], are_uids=False))
    hear(client, "* 1 FETCH (UID 2 FLAGS ())")
    with pytest.raises(Violation, match="EXPUNGEISSUED"):
        hear(client, "t NO [EXPUNGEISSUED] gone")


@pytest.mark.parametrize(("mode", "told"), [("+", ""), ("-", "\\Flagged"), ("", "\\Flagged \\Seen")])
def test_store_that_answers_other_flags(mode: str, told: str) -> None:
    """RFC 9051 §6.4.6."""
    client, model = opened(a_world())
    begin(client, StoreFlags(model, model.messages[:1], False, mode, frozenset({"\\Flagged"}), False))
    hear(client, f"* 1 FETCH (FLAGS ({told}))")
    with pytest.raises(Violation, match="STORE"):
        hear(client, "t OK done")


@pytest.mark.parametrize("kind", ["STORE", "EXPUNGE"])
def test_a_change_after_examine(kind: str) -> None:
    """RFC 9051 §6.3.3."""
    client, model = opened(a_world(), is_writable=False)
    begin(client, request_of(kind, model))
    with pytest.raises(Violation, match="read-only"):
        hear(client, "t OK done")


@pytest.mark.parametrize(
    "code",
    ["COPYUID 8 2,4 1", "COPYUID 8 2,3 1:2", "COPYUID 8 2,4 2,1", "COPYUID 8 2,4 4:5", "COPYUID 8 2,2 8:9"],
)
def test_copyuid_that_cannot_be(code: str) -> None:
    """RFC 4315 §3: as many uids as there are sources, rising, and not below what was told as UIDNEXT."""
    world = a_world()
    world.users[0].ledger.rise("UIDNEXT", 8, 5, 0)
    client, model = opened(world)
    begin(client, Copy(model, model.messages[:2], are_uids=False, mailbox="Work"))
    with pytest.raises(Violation, match="COPYUID"):
        hear(client, f"t OK [{code}] done")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("APPENDUID", "t OK done"),
        ("APPENDUID", "t OK [APPENDUID 7 9] done"),
        ("goes back", "t OK [APPENDUID 6 12] done"),
        ("uid twice", "t OK [APPENDUID 7 11] done"),
    ],
)
def test_appenduid_that_cannot_be(rule: str, line: str) -> None:
    """RFC 4315 §3."""
    client, _ = opened(a_world())
    begin(client, Append("INBOX", "a/1", b"ab", (), is_synchronizing=False))
    hear(client, "t OK [APPENDUID 7 10] done")
    client.ledger.highest["UIDNEXT", 7] = 10
    begin(client, Append("INBOX", "a/2", b"ab", (), is_synchronizing=False))
    if rule == "uid twice":
        begin(client, Append("INBOX", "a/3", b"ab", (), is_synchronizing=False))
        hear(client, line)
    with pytest.raises(Violation) as caught:
        hear(client, line)
    assert caught.value.rule == rule


def test_what_was_appended_is_read_back_octet_for_octet() -> None:
    """RFC 9051 §6.3.12."""
    client, _ = opened(a_world())
    begin(client, Append("INBOX", "a/1", b"ab", (), is_synchronizing=False))
    hear(client, "t OK [APPENDUID 7 10] done", "* 6 EXISTS")
    with pytest.raises(Violation, match="octets change"):
        hear(client, "* 6 FETCH (UID 10 BODY[] {2}\r\nac)")


def test_a_copy_is_the_same_message() -> None:
    """RFC 9051 §6.4.7."""
    client, model = opened(a_world())
    hear(client, "* 1 FETCH (BODY[] {2}\r\nab)")
    begin(client, Copy(model, model.messages[:1], are_uids=False, mailbox="INBOX"))
    hear(client, "t OK [COPYUID 7 2 10] done", "* 6 EXISTS")
    with pytest.raises(Violation, match="octets change"):
        hear(client, "* 6 FETCH (UID 10 BODY[] {2}\r\nac)")


def test_what_was_moved_away_is_gone_by_the_next_noop() -> None:
    """RFC 9051 §6.4.8."""
    client, model = opened(a_world())
    begin(client, Move(model, model.messages[:1], are_uids=False, mailbox="Work"))
    hear(client, "* OK [COPYUID 8 2 1] ", "t OK done")
    begin(client, Noop())
    with pytest.raises(Violation, match="left out"):
        hear(client, "t OK done")


@pytest.mark.parametrize(
    ("rule", "request_", "lines"),
    [
        ("LIST", ListAll(), ['* LIST () "/" INBOX', "t OK done"]),
        (
            "LIST",
            ListAll(),
            [f'* LIST () "/" {n}' for n in ("INBOX", "Work", "K&APw-che/Brot", "Work")] + ["t OK done"],
        ),
        ("STATUS", Status("Work"), ["t OK done"]),
        (
            "STATUS",
            Status("Work"),
            ["* STATUS Work (MESSAGES 1 UNSEEN 2 UIDNEXT 3 UIDVALIDITY 8)", "t OK done"],
        ),
        (
            "STATUS",
            Status("Work"),
            ["* STATUS Work (MESSAGES 3 UNSEEN 2 UIDNEXT 3 UIDVALIDITY 8)", "t OK done"],
        ),
        (
            "goes back",
            Status("INBOX"),
            ["* STATUS INBOX (MESSAGES 3 UNSEEN 2 UIDNEXT 9 UIDVALIDITY 7)", "t OK done"],
        ),
        (
            "goes back",
            Status("INBOX"),
            ["* STATUS INBOX (MESSAGES 3 UNSEEN 2 UIDNEXT 9 UIDVALIDITY 6)", "t OK done"],
        ),
        ("refused", Create("Churn-0"), ["t NO [NOPERM] no"]),
        ("refused", Rename("Rove-a", "Rove-b"), ["t BAD no"]),
        ("refused", Delete("Churn-0"), ["t NO [UNAVAILABLE] no"]),
        ("not selected", Noop(), ["* 1 EXISTS"]),
        ("not selected", Noop(), ["* 1 FETCH (FLAGS ())"]),
    ],
)
def test_other_answers_that_break_a_rule(rule: str, request_: Request, lines: Sequence[str]) -> None:
    """RFC 9051 §6.3."""
    world = a_world()
    opened(world)
    client = client_of(world, 2)
    begin(client, request_)
    with pytest.raises(Violation) as caught:
        hear(client, *lines)
    assert caught.value.rule == rule


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


async def test_a_continuation_that_nobody_waits_for() -> None:
    """RFC 9051 §7.6."""
    client, _ = opened(a_world())
    begin(client, Noop())
    with pytest.raises(Violation, match=r"\+"):
        await client.hear(parse(b"+ go on\r\n"))


def test_bye_is_for_who_has_a_mailbox_open_that_was_deleted() -> None:
    """A keeper is never deleted; churn is, and only once somebody has sent DELETE."""
    world = a_world()
    client, _ = opened(world, 1, "Churn-0")
    with pytest.raises(Violation, match="BYE"):
        hear(client, "* BYE gone")
    client, _ = opened(world, 2, "Churn-0")
    begin(client_of(world, 3), Delete("Churn-0"))
    with pytest.raises(Gone):
        hear(client, "* BYE gone")


def test_steps_are_the_same_for_the_same_seed() -> None:
    """A seed that was printed can be given again."""
    one, other = client_of(a_world()), client_of(a_world())
    assert [one.random.getrandbits(64) for _ in range(5)] == [other.random.getrandbits(64) for _ in range(5)]
    assert one.random.random() != random.Random("seed").random()
