"""Octets that nobody should send: every command is answered, and nothing is a bug. The store is in memory."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.imap import registry
from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.search import keys
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection

WORDS = [
    *(b"1:*", b"1", b"2,4:3", b"*", b"99", b"0", b"INBOX", b"Archive", b"new/box", b"%", b'""', b"NIL", b"{3}", b"{0}"),
    *(b"{4+}\r\nabcd", b"FLAGS", b"(FLAGS UID)", b"+FLAGS", b"-FLAGS.SILENT", b"(\\Seen $Work)", b"\\Deleted"),
    *(b"BODY[]", b"BODY.PEEK[1.HEADER]<0.9>", b"(BODY[HEADER.FIELDS (Subject)] ENVELOPE)", b"FULL", b"BODYSTRUCTURE"),
    *(b"(MESSAGES RECENT UIDNEXT)", b"UNSEEN", b"NOT", b"OR", b"(", b")", b"SINCE", b"1-Jan-2001", b"LARGER", b"ALL"),
    *(b"KEYWORD", b"CHARSET", b"UTF-8", b"PLAIN", b"*", b'"a\\"b"', b"&AOk-", b"DONE", b"UID", b'"x" "y"', b"\xff"),
]  # fmt: skip
USUAL = [
    *(b"FETCH 1:* FLAGS", b"UID FETCH 1:* (FLAGS)", b"FETCH 1:2 BODY[TEXT]", b"STORE 1:* +FLAGS (\\Deleted)"),
    *(b"STORE 2 FLAGS.SILENT ($Work)", b"EXPUNGE", b"UID EXPUNGE 1:3", b"COPY 1:* INBOX", b"UID COPY 1 Archive"),
    *(b"SEARCH UNSEEN", b"UID SEARCH 1:* DELETED", b"NOOP", b"CLOSE", b"SELECT INBOX", b"EXAMINE INBOX", b"CHECK"),
    *(b"SELECT Archive", b"STATUS INBOX (MESSAGES UNSEEN RECENT)", b'LIST "" *', b"UNSELECT", b"DELETE Archive"),
    *(b"CREATE Archive", b"RENAME Archive Old", b"RENAME INBOX Old", b"APPEND INBOX {8+}\r\na: b\r\n\r\n"),
    *(b"APPEND INBOX (\\Seen) {3+}\r\nx\r\n more", b"IDLE\r\nDONE", b"LSUB \"\" *"),
]  # fmt: skip
COMMANDS = st.one_of(
    st.sampled_from(USUAL),
    st.builds(
        lambda verb, words: b" ".join((verb, *words)),
        st.sampled_from([name.encode() for name in sorted(registry.ROWS) if name != "LOGOUT"]),
        st.lists(st.sampled_from(WORDS), max_size=4),
    ),
)


async def converse(octets: bytes, logs_in: bool) -> bytes:
    """All that a session answers to these octets, up to its end or theirs."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice Archive 2 messages", "alice INBOX 3 messages"])
    heard: list[bytes] = []

    class Recording(MemoryConnection):
        def write(self, data: bytes) -> None:
            heard.append(data)

        def writelines(self, parts: list[bytes]) -> None:
            heard.extend(parts)

    connection = Recording()
    async with dialogues.door(store) as door:
        if logs_in:
            connection.send(b'l LOGIN alice@example.org "%b"\r\ns SELECT INBOX\r\n' % dialogues.PASSWORD)
        for start in range(0, len(octets), 1000):
            connection.send(octets[start : start + 1000])
        connection.send(b"")
        await asyncio.wait_for(door.serve(connection), 20)  # type: ignore[arg-type]
    return b"".join(heard)


@pytest.mark.parametrize("logs_in", [False, True])
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([b"\r\n", b"a ", *WORDS, *USUAL])), max_size=12
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_octets_are_a_bug(logs_in: bool, pieces: list[bytes]) -> None:
    heard = asyncio.run(converse(b"".join(pieces), logs_in))
    assert heard.startswith(b"* OK ")
    assert b"SERVERBUG" not in heard


@given(st.lists(COMMANDS, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_pipeline_of_commands_is_a_bug(commands: list[bytes]) -> None:
    """RFC 9051 §5.5."""
    octets = b"".join(b"c%d %b\r\n" % (number, command) for number, command in enumerate(commands))
    assert b"SERVERBUG" not in asyncio.run(converse(octets, logs_in=True))


@given(st.lists(st.sampled_from(USUAL), min_size=1, max_size=10))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_command_has_one_tagged_answer_in_its_order(commands: list[bytes]) -> None:
    """RFC 9051 §2.2.1."""
    octets = b"".join(b"c%d %b\r\n" % (number, command) for number, command in enumerate(commands))
    heard = asyncio.run(converse(octets, logs_in=True))
    if b"* BYE" not in heard:
        tags = [line.split()[0] for line in heard.split(b"\r\n") if line.startswith(b"c")]
        assert tags == [b"c%d" % number for number in range(len(commands))]


@pytest.mark.parametrize(
    "octets",
    [
        b" ".join([b"ALL"] * 250_000),
        b"OR ALL " * 40 + b"ALL " * 5000 + b"ALL",
        b"(" * 1_000_000,
        b")" * 1_000_000,
    ],
    ids=["a million octets of keys", "five thousand keys", "open", "closed"],
)
def test_a_megabyte_of_search_keys_is_refused(octets: bytes) -> None:
    """attacks 15."""
    with pytest.raises(ProtocolError):
        keys.parse(Arguments(octets))
