"""What may be told when, rule by rule. RFC 9051 §5.2, §5.5, §7.4.1, §7.5.1. The store is in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from services.imap import commands, registry
from services.imap.session.state import Extension, Selected, SessionState, State
from services.imap.session.updates import Updates
from services.imap.session.view import View
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import Client, expect, hear

assert commands.FAMILIES
CONDSTORE, QRESYNC, REV2 = Extension.CONDSTORE, Extension.CONDSTORE | Extension.QRESYNC, Extension.IMAP4REV2


@dataclass(frozen=True)
class Rule:
    """What others do (a space between `|` and `|` is a catch-up), and what the client hears of it.

    held: what it hears where EXPUNGE may not be told; then: at the next moment where it may.
    """

    sentence: str
    others: str
    told: str = ""
    held: str | None = None
    then: str = ""
    enabled: Extension = Extension.NOTHING

    def __str__(self) -> str:
        return self.sentence


FETCH_2 = "* 2 FETCH (UID 2 FLAGS (\\Seen))"
RULES = [
    Rule("§5.2: where nothing has happened, nothing is told", ""),
    Rule("§5.2, §7.4.1: a new message is told at once", "deliver", "* 4 EXISTS, * 1 RECENT"),
    Rule("§7.4.1: several are told together", "deliver, deliver", "* 5 EXISTS, * 2 RECENT"),
    Rule("appendix E: there is no RECENT in IMAP4rev2", "deliver", "* 4 EXISTS", enabled=REV2),
    Rule("§5.2: flags that others change are told", "flag 2 \\Seen", FETCH_2),
    Rule(
        "§5.2: flags are told as they are, however often they changed",
        "flag 2 \\Seen, flag 2 \\Draft",
        "* 2 FETCH (UID 2 FLAGS (\\Seen \\Draft))",
    ),
    Rule("§5.2: a change that changes nothing is not told", "flag 2 \\Seen| flag 2 \\Seen", FETCH_2),
    Rule(
        "§7.3.5: a new keyword comes before the first message that has it",
        "flag 2 $Work",
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work), * OK [PERMANENTFLAGS (\\Answered \\Flagged"
        " \\Deleted \\Seen \\Draft $Work \\*)] Flags, * 2 FETCH (UID 2 FLAGS ($Work))",
    ),
    Rule("§7.5.1: what went is told where that may be", "expunge 2", "* 2 EXPUNGE", "", "* 2 EXPUNGE"),
    Rule(
        "§7.5.1: each number counts those before it as gone",
        "expunge 1, expunge 2, expunge 3",
        "* 1 EXPUNGE, * 1 EXPUNGE, * 1 EXPUNGE",
        "",
        "* 1 EXPUNGE, * 1 EXPUNGE, * 1 EXPUNGE",
    ),
    Rule(
        "§5.2: EXISTS never falls; what went is counted until it is told",
        "expunge 2, deliver",
        "* 2 EXPUNGE, * 3 EXISTS, * 1 RECENT",
        "* 4 EXISTS, * 1 RECENT",
        "* 2 EXPUNGE",
    ),
    Rule("§7.5.1: what was never announced is never expunged", "deliver, expunge 4", "", "", ""),
    Rule(
        "§7.5.1: what came and went leaves no hole in the numbers",
        "deliver, deliver, expunge 4",
        "* 4 EXISTS, * 1 RECENT",
    ),
    Rule(
        "§7.5.1: announced while an expunge waits, and gone before that is told",
        "expunge 1, deliver| expunge 4",
        "* 1 EXPUNGE, * 3 EXISTS, * 1 RECENT, * 3 EXPUNGE, * 0 RECENT",
        "* 4 EXISTS, * 1 RECENT",
        "* 1 EXPUNGE, * 3 EXPUNGE, * 0 RECENT",
    ),
    Rule(
        "RFC 3501 §7.3.2: how many are recent is told where an expunge changes it, and once",
        "deliver| expunge 4, expunge 1",
        "* 4 EXISTS, * 1 RECENT, * 1 EXPUNGE, * 3 EXPUNGE, * 0 RECENT",
        "* 4 EXISTS, * 1 RECENT",
        "* 1 EXPUNGE, * 3 EXPUNGE, * 0 RECENT",
    ),
    Rule("appendix E: nor is it told behind an expunge", "deliver| expunge 4, expunge 1",
         "* 4 EXISTS, * 1 EXPUNGE, * 3 EXPUNGE", "* 4 EXISTS", "* 1 EXPUNGE, * 3 EXPUNGE", REV2),
    Rule(
        "§5.5: until then, numbers are those that the client knows",
        "expunge 1, flag 2 \\Seen",
        "* 1 EXPUNGE, * 1 FETCH (UID 2 FLAGS (\\Seen))",
        FETCH_2,
        "* 1 EXPUNGE",
    ),
    Rule("§7.5.2: flags of what went are not told", "flag 2 \\Seen, expunge 2", "* 2 EXPUNGE", "", "* 2 EXPUNGE"),
    Rule("§5.2: flags of a new message are not told by themselves", "deliver, flag 4 \\Seen", "* 4 EXISTS, * 1 RECENT"),
    Rule(
        "§7: first what went, then what came, then flags",
        "flag 3 \\Seen, deliver, expunge 1",
        "* 1 EXPUNGE, * 3 EXISTS, * 1 RECENT, * 2 FETCH (UID 3 FLAGS (\\Seen))",
        "* 4 EXISTS, * 1 RECENT, * 3 FETCH (UID 3 FLAGS (\\Seen))",
        "* 1 EXPUNGE",
    ),
    Rule("RFC 7162 §3.2.10: VANISHED instead", "expunge 1, expunge 3", "* VANISHED 1,3", "", "* VANISHED 1,3", QRESYNC),
    Rule("RFC 7162 §3.2.10.2: only what was announced", "deliver, expunge 4, expunge 2", "* VANISHED 2", "",
         "* VANISHED 2", QRESYNC),
    Rule("RFC 7162 §3.2.4: with its modseq", "flag 2 \\Seen", "* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (5))",
         enabled=CONDSTORE),
]  # fmt: skip


async def begun(enabled: Extension) -> tuple[MemoryStore, Updates, Selected]:
    """A session of alice with her INBOX selected, where three messages are nobody's news."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice INBOX 3 messages"])
    account = await store.accounts.find_account("alice@example.org")
    await store.mailboxes.open(account.account_id, "INBOX", claims_recent=True)
    opened = await store.mailboxes.open(account.account_id, "INBOX", claims_recent=True)
    state = SessionState(account, enabled=enabled)
    state.selected = Selected(opened.mailbox, True, View.of(opened))
    return store, Updates(store, state), state.selected


async def lived(rule: Rule, tells_expunges: bool) -> tuple[str, str]:
    """What is heard of it, and at a later moment where everything may be told."""
    store, updates, selected = await begun(rule.enabled)
    heard: list[str] = []
    for part in rule.others.split("|"):
        for other in filter(None, part.split(",")):
            verb, *rest = other.split()
            await dialogues.meanwhile(store, " ".join((verb, "INBOX", *rest)))
        heard += await catch_up(updates, selected, tells_expunges)
        assert selected.view.highest_modseq <= await store.mailboxes.highest_modseq(selected.mailbox.key)
    later = await catch_up(updates, selected, tells_expunges=True)
    assert (
        selected.view.count
        == (await store.mailboxes.status(selected.mailbox.key.account_id, "INBOX"))[1].messages
    )
    return ", ".join(heard), ", ".join(later)


async def catch_up(updates: Updates, selected: Selected, tells_expunges: bool) -> list[str]:
    """The lines that are told; the client counts along."""
    before = selected.view.count
    told = b"".join([each.render() for each in await updates.catch_up(selected, tells_expunges)])
    lines = told.decode().splitlines()
    for line in lines:
        words = line.split()
        if words[2] == "EXPUNGE":
            assert tells_expunges
            assert int(words[1]) <= before
            before -= 1
        elif words[1] == "VANISHED":
            assert tells_expunges
            before -= len(words[2].split(","))
        elif words[2] == "EXISTS":
            assert int(words[1]) > before
            before = int(words[1])
    assert before == selected.view.count
    return lines


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_where_everything_may_be_told(rule: Rule) -> None:
    assert await lived(rule, tells_expunges=True) == (rule.told, "")


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_where_expunge_may_not_be_told(rule: Rule) -> None:
    assert await lived(rule, tells_expunges=False) == (
        rule.told if rule.held is None else rule.held,
        rule.then,
    )


@pytest.mark.parametrize("rule", [rule for rule in RULES if "expunge" in rule.others], ids=str)
async def test_no_more_is_claimed_than_was_told(rule: Rule) -> None:
    """RFC 7162 §3.2: HIGHESTMODSEQ stays below an expunge that waits."""
    store, updates, selected = await begun(rule.enabled)
    before = selected.view.highest_modseq
    for other in rule.others.replace("|", ",").split(","):
        verb, *rest = other.split()
        await dialogues.meanwhile(store, " ".join((verb, "INBOX", *rest)))
    await updates.catch_up(selected, tells_expunges=False)
    waits = rule.then != ""
    assert (selected.view.highest_modseq == before) is waits
    await updates.catch_up(selected, tells_expunges=True)
    assert selected.view.highest_modseq == await store.mailboxes.highest_modseq(selected.mailbox.key)


# §7.5.1: EXPUNGE may not be told while FETCH, STORE or SEARCH are answered; their UID forms are other commands.
MAY_TELL = {
    "FETCH 1 UID": False, "STORE 1 +FLAGS (\\Flagged)": False, "SEARCH ALL": False,
    "UID FETCH 1 UID": True, "UID STORE 1 +FLAGS (\\Flagged)": True, "UID SEARCH ALL": True,
    "COPY 1 Archive": True, "UID COPY 1 Archive": True, "MOVE 1 Archive": True, "UID MOVE 1 Archive": True,
    "EXPUNGE": True, "UID EXPUNGE 1": True, "NOOP": True, "CHECK": True, "STATUS INBOX (MESSAGES)": True,
    'LIST "" *': True,
}  # fmt: skip


def test_every_command_that_names_messages_stands_in_the_table() -> None:
    verbs = {line.removeprefix("UID ").split()[0] for line in MAY_TELL}
    assert {
        row.name for row in registry.ROWS.values() if row.uid_form and row.states is State.SELECTED
    } <= verbs


@pytest.mark.parametrize("line", MAY_TELL)
async def test_a_command_tells_expunge_or_not(line: str) -> None:
    """RFC 9051 §7.5.1."""
    async with opened(MemoryStore()) as (store, client):
        await dialogues.meanwhile(store, "expunge INBOX 3")
        heard = await answer(client, line)
        assert ("* 3 EXPUNGE" in heard or "* 2 EXPUNGE" in heard) is MAY_TELL[line]
        assert "EXPUNGE" not in "".join(await answer(client, "NOOP")) or not MAY_TELL[line]


async def test_nothing_is_told_while_no_command_is_in_progress() -> None:
    """RFC 9051 §5.2, §7.5.1: nor while the client was asked for the rest of one."""
    async with opened(MemoryStore()) as (store, client):
        await dialogues.meanwhile(store, "expunge INBOX 1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.line(), 0.05)
        client.send(b"a APPEND INBOX {8}\r\n")
        await expect(client, "+ ...")
        await dialogues.meanwhile(store, "expunge INBOX 2")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.line(), 0.05)
        client.send(b"a: b\r\n\r\n\r\n")
        for wanted in ("* 1 EXPUNGE", "* 1 EXPUNGE", "* 2 EXISTS", "* 1 RECENT", "a OK ..."):
            await expect(client, wanted)


async def test_what_is_pipelined_keeps_its_numbers() -> None:
    """RFC 9051 §5.5: FETCH, STORE and SEARCH by number may follow each other unheard."""
    async with opened(MemoryStore()) as (store, client):
        await dialogues.meanwhile(store, "expunge INBOX 1")
        client.send(
            b"a FETCH 2 UID\r\nb STORE 2 +FLAGS.SILENT (\\Seen)\r\nc SEARCH UID 2\r\nd FETCH 2 UID\r\ne NOOP\r\n"
        )
        for wanted in ("* 2 FETCH (UID 2)", "a OK ...", "b OK ...", "* SEARCH 2", "c OK ...", "* 2 FETCH (UID 2)",
                       "d OK ...", "* 1 EXPUNGE", "e OK ..."):  # fmt: skip
            heard = await hear(client)
            while wanted.startswith("b ") and heard.startswith("* 2 FETCH (UID 2 FLAGS"):
                heard = await hear(client)  # its own change, told once more since an expunge waits
            assert heard.startswith(wanted.removesuffix("..."))


@asynccontextmanager
async def opened(store: MemoryStore) -> AsyncIterator[tuple[MemoryStore, Client]]:
    """A session with INBOX selected, in which three messages are that are nobody's news."""
    await dialogues.prepare(store, ["alice INBOX 3 messages"])
    account = await store.accounts.find_account("alice@example.org")
    await store.mailboxes.open(account.account_id, "INBOX", claims_recent=True)
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        client.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
        while not (await hear(client)).startswith("s OK"):
            continue
        yield store, client


async def answer(client: Client, line: str) -> list[str]:
    """What a command is answered, in front of its tagged line."""
    client.send(b"x %b\r\n" % line.encode())
    heard: list[str] = []
    while not (found := await hear(client)).startswith("x "):
        heard.append(found)
    assert found.startswith("x OK")
    return heard
