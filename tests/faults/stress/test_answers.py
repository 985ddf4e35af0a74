"""Each rule about the answers to commands fails on one that breaks it.

The rule: replies are fed as octets, as a server would send them.
"""

import asyncio
import random
from collections.abc import Sequence

import pytest

from tests.faults.stress.dialogue import a_world, begin, client_of, hear, opened, request_of
from tests.faults.stress.reading import (
    ITEMS,
    UID_FLAGS,
    FetchMessages,
    Key,
    ListAll,
    Noop,
    SearchMessages,
    Status,
)
from tests.faults.stress.replies import parse
from tests.faults.stress.requests import Request
from tests.faults.stress.selecting import Create, Delete, Rename
from tests.faults.stress.violations import Violation
from tests.faults.stress.wire import Gone, Wire
from tests.faults.stress.writing import Append, Copy, Move, StoreFlags


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


@pytest.mark.parametrize(
    ("rule", "answer"),
    [
        ("", "* 6 EXISTS\r\n* BYE see you\r\nt1 OK done\r\n"),
        ("tag", "t1 OK done\r\n* BYE see you\r\n"),
        ("LOGOUT", "* BYE see you\r\n"),
        ("LOGOUT", "* BYE see you\r\nt1 NO not yet\r\n"),
        ("LOGOUT", "* BYE see you\r\nt1 OK done\r\n* 6 EXISTS\r\n"),
    ],
)
async def test_logout_ends_with_bye_and_ok(rule: str, answer: str) -> None:
    """RFC 9051 §6.1.3."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"t1 LOGOUT\r\n"
        writer.write(answer.encode())
        writer.close()

    client, _ = opened(a_world())
    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        client.wire = await Wire.open(server.sockets[0].getsockname()[1])
        if rule:
            with pytest.raises(Violation) as caught:
                await client.log_out()
            assert caught.value.rule == rule
            client.drop()
        else:
            await client.log_out()
    assert client.wire is None


def test_steps_are_the_same_for_the_same_seed() -> None:
    """A seed that was printed can be given again."""
    one, other = client_of(a_world()), client_of(a_world())
    assert [one.random.getrandbits(64) for _ in range(5)] == [other.random.getrandbits(64) for _ in range(5)]
    assert one.random.random() != random.Random("seed").random()
