"""Whole sessions: every command has one tagged answer, or BYE, and nothing is a bug. The store is in memory."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.imap import registry
from tests.fakes.memory import MemoryStore
from tests.fuzz.share import share
from tests.fuzz.spoken import Literal, Spoken, conversations, literals, spoken
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import Client

WORDS = [
    *(b"1:*", b"1", b"2,4:3", b"*", b"99", b"0", b"INBOX", b"Work", b"new/box", b"%", b'""', b"NIL", b"{3}", b"{0}"),
    *(b"{4+}\r\nabcd", b"FLAGS", b"(FLAGS UID)", b"+FLAGS", b"-FLAGS.SILENT", b"(\\Seen $Work)", b"\\Deleted", b"$"),
    *(b"BODY[]", b"BODY.PEEK[1.HEADER]<0.9>", b"(BODY[HEADER.FIELDS (Subject)] ENVELOPE)", b"FULL", b"BODYSTRUCTURE"),
    *(b"(MESSAGES RECENT UIDNEXT)", b"UNSEEN", b"NOT", b"OR", b"(", b")", b"SINCE", b"1-Jan-2001", b"LARGER", b"ALL"),
    *(b"KEYWORD", b"CHARSET", b"UTF-8", b"PLAIN", b"*", b'"a\\"b"', b"&AOk-", b"DONE", b"UID", b'"x" "y"', b"\xff"),
    *(b"RETURN (SAVE COUNT)", b"(CHANGEDSINCE 1)", b"(CONDSTORE)", b"(QRESYNC (1 1 1:*))", b"IMAP4rev2", b"MODSEQ"),
]  # fmt: skip
USUAL = [
    *(b"FETCH 1:* FLAGS", b"UID FETCH 1:* (FLAGS)", b"FETCH 1:2 BODY[TEXT]", b"STORE 1:* +FLAGS (\\Deleted)"),
    *(b"STORE 2 FLAGS.SILENT ($Work)", b"EXPUNGE", b"UID EXPUNGE 1:3", b"COPY 1:* INBOX", b"UID COPY 1 Work"),
    *(b"SEARCH UNSEEN", b"UID SEARCH 1:* DELETED", b"NOOP", b"CLOSE", b"SELECT INBOX", b"EXAMINE INBOX", b"CHECK"),
    *(b"SELECT Work", b"STATUS INBOX (MESSAGES UNSEEN RECENT)", b'LIST "" *', b"UNSELECT", b"DELETE Work"),
    *(b"CREATE Work", b"RENAME Work Old", b"RENAME INBOX Old", b"APPEND INBOX {8+}\r\na: b\r\n\r\n"),
    *(b"APPEND INBOX (\\Seen) {3+}\r\nx\r\n more", b"IDLE\r\nDONE", b"LSUB \"\" *"),
]  # fmt: skip
VERBS = [name.encode() for name in sorted(registry.ROWS) if name != "LOGOUT"]
COMMANDS = st.one_of(
    st.sampled_from(USUAL),
    st.builds(
        lambda verb, words: b" ".join((verb, *words)),
        st.sampled_from(VERBS),
        st.lists(st.sampled_from(WORDS), max_size=4),
    ),
)
PIECES: st.SearchStrategy[bytes | Literal] = st.one_of(
    literals(40),
    st.sampled_from([word for word in WORDS if not word.startswith(b"{")]).map(lambda word: b" " + word),
)
CONVERSATIONS = conversations(spoken(PIECES, VERBS), 6)


@asynccontextmanager
async def session(logs_in: bool) -> AsyncIterator[Client]:
    """A client of a store with some mail, which may have INBOX selected."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice Work 2 messages", "alice INBOX 3 messages"])
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        assert (await client.line()).startswith(b"* OK ")
        if logs_in:
            client.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
            while not (await client.line()).startswith(b"s OK"):
                continue
        yield client


async def pour(octets: bytes, logs_in: bool) -> bytes:
    """All that a session answers to these octets, up to its end or theirs."""
    heard = bytearray()
    async with session(logs_in) as client:
        for start in range(0, len(octets), 1000):
            client.send(octets[start : start + 1000])
        client.send(b"")
        while line := await client.line():
            heard += line
    return bytes(heard)


@pytest.mark.parametrize("logs_in", [False, True])
@share(2)
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([b"\r\n", b"a ", *WORDS, *USUAL])), max_size=12
    )
)
def test_no_octets_are_a_bug(logs_in: bool, pieces: list[bytes]) -> None:
    """RFC 5530 §3: SERVERBUG is for bugs."""
    assert b"SERVERBUG" not in asyncio.run(pour(b"".join(pieces), logs_in))


@share(1)
@given(st.lists(COMMANDS, min_size=1, max_size=12))
def test_no_pipeline_of_commands_is_a_bug(lines: list[bytes]) -> None:
    """RFC 9051 §5.5."""
    octets = b"".join(b"c%d %b\r\n" % (number, line) for number, line in enumerate(lines))
    assert b"SERVERBUG" not in asyncio.run(pour(octets, logs_in=True))


@share(2)
@given(st.lists(st.sampled_from(USUAL), min_size=1, max_size=10))
def test_what_was_pipelined_is_answered_once_each_and_in_its_order(lines: list[bytes]) -> None:
    """RFC 9051 §2.2.1."""
    octets = b"".join(b"c%d %b\r\n" % (number, line) for number, line in enumerate(lines))
    heard = asyncio.run(pour(octets, logs_in=True))
    if b"* BYE" not in heard:
        tags = [line.split()[0] for line in heard.split(b"\r\n") if line.startswith(b"c")]
        assert tags == [b"c%d" % number for number in range(len(lines))]


async def converse(commands: list[Spoken], logs_in: bool) -> tuple[list[bytes], int]:
    """The tagged answers that a client hears which keeps to the rules, and how many commands it could say."""
    tagged: list[bytes] = []
    async with session(logs_in) as client:
        for said, command in enumerate(commands):
            waiting = command.parts()
            client.send(waiting.pop(0))
            while line := await client.line():
                assert b"SERVERBUG" not in line
                if re.match(rb"t\d+ ", line):
                    tagged.append(line)
                    break
                if line.startswith(b"+ "):  # a literal may come, or IDLE or AUTHENTICATE want a line
                    client.send(waiting.pop(0) if waiting else b"DONE\r\n")
            else:
                return tagged, said  # after BYE
        client.send(b"e NOOP\r\n")
        while (line := await client.line()) and not line.startswith((b"e ", b"* BYE")):
            tagged += [line] if re.match(rb"t\d+ ", line) else []
    return tagged, len(commands)


@pytest.mark.parametrize("logs_in", [False, True])
@share(1)
@given(CONVERSATIONS)
def test_each_command_has_one_tagged_answer_and_the_next_is_understood(
    logs_in: bool, commands: list[Spoken]
) -> None:
    """RFC 9051 §2.2.1; attacks 14: a bad command takes nothing of the next one with it."""
    tagged, said = asyncio.run(converse(commands, logs_in))
    assert [line.split()[0] for line in tagged] == [command.tag for command in commands[:said]]
