"""attacks.md 4 and 14 to 22, over real sockets against the whole system: refused in their words, in linear time.

The rule: after every attack the same connection answers the next command, unless it was told BYE; and a limit has a
lower bound too, so what real clients send must pass.
"""

import time
from collections.abc import Iterator

import pytest

from tests.e2e.memory import flat
from tests.e2e.raw import Raw, connected
from tests.e2e.system import System

LOGIN, PASSWORD = "attacks@attacks.test", "correct horse"
LETTER = b"From: bob@example.org\r\nSubject: hello\r\n\r\nhello\r\n"
MEGABYTE = 1024 * 1024
# What a megabyte may take on a busy machine; a quadratic reader would need hours.
SOON = 20.0


@pytest.fixture(scope="module")
def port(system: System) -> int:
    """The door, which knows an account with three messages."""
    system.add_account(LOGIN, PASSWORD)
    with connected(system.imap_port) as client:
        client.log_in(LOGIN, PASSWORD)
        for _ in range(3):
            client.append(b"INBOX", LETTER)
    return system.imap_port


@pytest.fixture
def stranger(port: int) -> Iterator[Raw]:
    """A client that is not logged in."""
    with connected(port) as client:
        yield client


@pytest.fixture
def client(port: int) -> Iterator[Raw]:
    """A client that is logged in, with INBOX selected."""
    with connected(port) as client:
        client.log_in(LOGIN, PASSWORD)
        assert client.last(b"SELECT INBOX").startswith(b"OK")
        yield client


# 4: what is said before TLS


def test_what_was_said_before_tls_is_forgotten(stranger: Raw) -> None:
    """attacks 4 (CVE-2011-0411), RFC 9051 §6.2.1; afterwards the capabilities are others."""
    assert b" STARTTLS" in stranger.ask(b"CAPABILITY")[0]
    stranger.send(b"a STARTTLS\r\nb CREATE injected\r\nc LOGIN {10+}\r\n")
    assert stranger.line() == b"a OK Begin TLS now"
    stranger.start_tls()
    listed, done = stranger.ask(b"CAPABILITY")
    assert listed.startswith(b"* CAPABILITY IMAP4rev1 ")
    assert b" STARTTLS" not in listed
    assert b" AUTH=PLAIN" in listed
    assert done == b"OK CAPABILITY completed"
    stranger.log_in(LOGIN, PASSWORD)


# 14: literals


@pytest.mark.parametrize("size", [64 * 1024 + 1, 10**6, 2**32, 10**19])
def test_a_literal_over_64_kb_gets_no_plus_before_login(stranger: Raw, size: int) -> None:
    """attacks 14: refused before the `+`; RFC 7888 §4."""
    assert stranger.ask(b"LOGIN {%d}" % size) == [b"BAD Command too large"]
    assert stranger.last(b"NOOP") == b"OK NOOP completed"


def test_the_budget_is_of_the_whole_command(stranger: Raw) -> None:
    """attacks 14: 64 KB in many pieces are 64 KB too."""
    stranger.send(b"a ID (" + b'"x" {8000+}\r\n%b ' % (b"x" * 8000) * 9 + b")\r\nb NOOP\r\n")
    assert stranger.line() == b"a BAD Command too large"
    assert stranger.line() == b"b OK NOOP completed"


def test_a_literal_over_a_megabyte_gets_no_plus(client: Raw) -> None:
    """attacks 14; what comes unasked is read past, RFC 7888 §4."""
    assert client.ask(b"CREATE {%d}" % (MEGABYTE + 1)) == [b"BAD Command too large"]
    assert client.ask(b"CREATE {%d+}\r\n%b" % (MEGABYTE + 1, b"x" * (MEGABYTE + 1))) == [
        b"BAD Command too large"
    ]
    assert client.last(b"NOOP") == b"OK NOOP completed"


def test_what_is_read_past_is_bounded(client: Raw) -> None:
    """attacks 14: where discarding is not reasonable, BYE; RFC 7888 §4."""
    client.send(b"a CREATE {4294967295+}\r\nb NOOP\r\n")
    assert client.line() == b"* BYE [TOOBIG] Literal too large"
    assert client.line() == b""


def test_a_message_over_the_limit_is_refused_before_it_is_sent(client: Raw) -> None:
    """attacks 14, RFC 7889 §4: APPEND streams, and has a limit of its own."""
    assert client.ask(b"APPEND INBOX {%d}" % (200 * MEGABYTE)) == [b"NO [TOOBIG] The message is too large"]
    assert client.last(b"NOOP") == b"OK NOOP completed"
    client.send(b"a APPEND INBOX {%d+}\r\n" % 2**31)
    assert client.until(b"* BYE")[-2:] == [
        b"a NO [TOOBIG] The message is too large",
        b"* BYE [TOOBIG] Literal too large",
    ]


def test_literals_of_both_kinds_pass_in_any_command(client: Raw) -> None:
    """RFC 7888 §4: non-synchronizing ones of any size; RFC 9051 §4.3."""
    client.send(b"a STATUS {5}\r\n")
    assert client.line() == b"+ OK"
    client.send(b"INBOX (MESSAGES)\r\n")
    assert client.line() == b"* STATUS INBOX (MESSAGES 3)"
    assert client.line() == b"a OK STATUS completed"
    assert client.ask(b"STATUS {5+}\r\nINBOX (MESSAGES)")[-1] == b"OK STATUS completed"
    fields = b" ".join(b"{8+}\r\nX-%06d" % number for number in range(5000))
    assert client.last(b"FETCH 1 BODY.PEEK[HEADER.FIELDS (%b)]" % fields) == b"OK FETCH completed"


# 15: nesting, parentheses, tokens

DEEP = {
    "open": b"SEARCH " + b"(" * 1_000_000,
    "closed": b"SEARCH " + b")" * 1_000_000,
    "pairs": b"SEARCH " + b"(ALL)" * 200_000,
    "51 deep": b"SEARCH " + b"(" * 51 + b"ALL" + b")" * 51,
    "not": b"SEARCH " + b"NOT " * 250_000 + b"ALL",
    "or": b"SEARCH " + b"OR " * 300_000 + b"ALL",
    "keys": b"SEARCH " + b"ALL " * 250_000 + b"ALL",
    "items": b"FETCH 1 (" + b"UID " * 250_000 + b"UID)",
    "items in items": b"FETCH 1 " + b"(" * 1_000_000,
    "sections": b"FETCH 1 (" + b"BODY[] " * 140_000 + b"UID)",
    "parts": b"FETCH 1 BODY[" + b"1." * 500_000 + b"1",
    "fields": b"FETCH 1 BODY[HEADER.FIELDS (" + b"(" * 1_000_000,
    "flags": b"STORE 1 +FLAGS " + b"(" * 1_000_000,
    "counters": b"STATUS INBOX (" + b"MESSAGE " * 120_000,
    "id": b"ID (" + b'"a" "b" ' * 125_000 + b")",
    "quotes": b"CREATE " + b'"' * 1_000_000,
    "escapes": b'CREATE "' + b"\\" * 1_000_001,
    "spaces": b"CREATE " + b" " * 1_000_000,
    "list": b"LIST " + b"(" * 1_000_000,
    "extensions": b"ENABLE " + b"X " * 300_000,
    "tag": b"x" * 1_000_000,
    "verb": b"UID " * 250_000,
}  # fmt: skip


@pytest.mark.parametrize("attack", list(DEEP))
def test_a_million_of_anything_is_bad_and_soon(client: Raw, attack: str) -> None:
    """attacks 15."""
    started = time.monotonic()
    assert client.ask(DEEP[attack])[-1].startswith(b"BAD ")
    assert client.last(b"NOOP") == b"OK NOOP completed"
    assert time.monotonic() - started < SOON


def test_thousands_of_keywords_are_refused_soon(client: Raw) -> None:
    """attacks 15: an account has room for a thousand; nobody waits for who asks for more."""
    names = b" ".join(b"keyword-%d" % number for number in range(9_999))
    started = time.monotonic()
    assert client.last(b"STORE 1 +FLAGS (%b)" % names).startswith(b"NO [LIMIT] ")
    assert client.last(b"APPEND INBOX (%b) {%d+}\r\n%b" % (names, len(LETTER), LETTER)).startswith(
        b"NO [LIMIT] "
    )
    assert b"keyword-" not in b"".join(client.ask(b"FETCH 1 FLAGS"))
    assert time.monotonic() - started < SOON


def test_fifty_levels_are_understood(client: Raw) -> None:
    """attacks 15: the limit has a lower bound."""
    assert client.ask(b"SEARCH " + b"(" * 49 + b"ALL" + b")" * 49)[0] == b"* SEARCH 1 2 3"


# 16: lines and bad commands


def test_a_line_over_8_kb_is_read_past_before_login(stranger: Raw) -> None:
    """attacks 16."""
    assert stranger.last(b"NOOP " + b"x" * 9000) == b"BAD Command line too long"
    stranger.log_in(LOGIN, PASSWORD)


def test_an_endless_line_ends_with_bye(stranger: Raw) -> None:
    """attacks 16: at 256 KB."""
    stranger.send(b"x" * 280 * 1024)
    assert stranger.line() == b"* BYE [TOOBIG] Command line too long"
    assert stranger.line() == b""


def test_three_bad_commands_before_login_are_enough(stranger: Raw) -> None:
    """attacks 16."""
    stranger.send(b"GET / HTTP/1.1\r\nHost: x\r\nAccept: y\r\n\r\n")
    assert [stranger.line() for _ in range(3)] == [
        b"GET BAD unknown command",
        b"Host: BAD unknown command",
        b"Accept: BAD unknown command",
    ]
    assert stranger.line() == b"* BYE Too many bad commands"
    assert stranger.line() == b""


def test_twenty_bad_commands_are_enough(client: Raw) -> None:
    """attacks 16."""
    for _ in range(20):
        assert client.last(b"FOO") == b"BAD unknown command"
    assert client.line() == b"* BYE Too many bad commands"
    assert client.line() == b""


# 17: sets


@pytest.mark.parametrize(
    "numbers", [b"1:*," * 250_000 + b"1:*", b"4294967295:1", b"3:1,2,*:1," * 90_000 + b"*"]
)
def test_a_set_is_what_it_comes_to(client: Raw, numbers: bytes) -> None:
    """attacks 17: normalised, so that it costs its runs and names each message once."""
    for verb in (b"FETCH", b"UID FETCH"):
        answers = client.ask(b"%b %b (UID)" % (verb, numbers))
        if verb == b"UID FETCH" or b"4294967295" not in numbers:
            assert [answer[:9] for answer in answers] == [
                b"* 1 FETCH",
                b"* 2 FETCH",
                b"* 3 FETCH",
                b"OK FETCH ",
            ]
        else:  # RFC 9051 §6.4: no message has such a number
            assert answers[-1].startswith(b"BAD ")


def test_as_many_ranges_as_fit_into_a_command_are_understood(client: Raw) -> None:
    """attacks 17: a megabyte of them."""
    numbers = b",".join(b"%d" % number for number in range(100_001, 390_000, 2))
    assert client.ask(b"UID FETCH %b,1 (UID)" % numbers) == [b"* 1 FETCH (UID 1)", b"OK FETCH completed"]


@pytest.mark.parametrize("size", [64, 256, 900])
def test_a_line_of_known_uids_is_understood(client: Raw, size: int) -> None:
    """attacks 17: clients that resynchronise send far more than 4 KB, RFC 7162 §3.2.5.2."""
    numbers = b",".join(b"%d" % number for number in range(1_000_001, 1_000_001 + size * 256, 2))
    assert len(numbers) >= size * 1000
    assert client.ask(b"UID FETCH %b,1:3 (FLAGS)" % numbers)[-1] == b"OK FETCH completed"


@pytest.mark.parametrize(
    "number", [b"0", b"0:1", b"1:0", b"4294967296", b"1:4294967296", b"9" * 5000, b"-1", b"1:"]
)
@pytest.mark.parametrize("command", [b"FETCH %b UID", b"UID FETCH %b UID", b"UID STORE %b FLAGS ()", b"COPY %b INBOX",
                                     b"SEARCH UID %b", b"UID EXPUNGE %b"])  # fmt: skip
def test_a_number_that_no_message_can_have_is_bad(client: Raw, command: bytes, number: bytes) -> None:
    """attacks 17; RFC 9051 §9, nz-number."""
    assert client.last(command % number).startswith(b"BAD ")


@pytest.mark.parametrize("size", [4, 64, 256, 900])
def test_known_uids_of_any_length_resynchronise(client: Raw, size: int) -> None:
    """attacks 17: 64 KB and beyond, RFC 7162 §3.2.5.2; and sequence-match data as long, §3.2.5.3."""
    assert client.ask(b"ENABLE QRESYNC")[0] == b"* ENABLED QRESYNC"
    (validity,) = (line.split()[3][:-1] for line in client.ask(b"SELECT INBOX") if b"UIDVALIDITY" in line)
    numbers = b",".join(b"%d" % number for number in range(1_000_001, 1_000_001 + size * 256, 2))
    half = numbers[: size * 500].rpartition(b",")[0]
    for known in (b"1:3,%b" % numbers, b"1:3 (%b %b)" % (half, half)):
        started = time.monotonic()
        answers = client.ask(b"SELECT INBOX (QRESYNC (%b 1 %b))" % (validity, known))
        assert answers[-1].startswith(b"OK [READ-WRITE]"), answers[-1]
        assert b"* 3 EXISTS" in answers
        assert time.monotonic() - started < SOON


@pytest.mark.parametrize(
    "command",
    [
        *(b"FETCH 1 FLAGS (CHANGEDSINCE %d)", b"STORE 1 (UNCHANGEDSINCE %d) FLAGS.SILENT ()"),
        *(b"SELECT INBOX (QRESYNC (1 %d))", b"UID FETCH 1:* FLAGS (CHANGEDSINCE %d VANISHED)"),
    ],
)
def test_a_modseq_over_63_bits_is_bad(client: Raw, command: bytes) -> None:
    """attacks 17; RFC 7162 §7 (mod-sequence-value)."""
    client.ask(b"ENABLE QRESYNC")
    for number in (2**63, 2**64, 10**4000):
        assert client.last(command % number).startswith(b"BAD ")
    assert client.last(command % (2**63 - 1)).startswith(b"OK ")


# 18: a reader that does not read


def test_a_reader_that_does_not_read_costs_no_memory(system: System, client: Raw) -> None:
    """attacks 18: nearly two gigabytes are asked for; they are read from the store as they are taken."""
    text = b"".join(b"line %d of a letter that is asked for again and again\r\n" % n for n in range(18_000))
    message = LETTER + text[: MEGABYTE - len(LETTER)]
    client.ask(b"CREATE Bulk")
    client.append(b"Bulk", message)
    assert client.last(b"SELECT Bulk").startswith(b"OK")
    assert client.last(b"COPY 1 Bulk").startswith(b"OK")
    client.ask(b"NOOP")
    parts = b" ".join(b"BODY[]<%d.2000000>" % start for start in range(900))
    client.ask(b"FETCH 1:2 (BODY[] BODY[] UID)")  # whatever is kept from the first time on is there before
    pids = {name: system.pid(name) for name in ("imap", "storage")}
    with flat(pids, 16 * MEGABYTE):
        client.send(b"a FETCH 1:2 (BODY[] BODY[] %b)\r\n" % parts)
        with connected(system.imap_port) as other:
            other.log_in(LOGIN, PASSWORD)
            for _ in range(30):
                assert other.last(b"STATUS Bulk (MESSAGES)").startswith(b"OK")
                time.sleep(0.1)
        taken = bytearray()
        while len(taken) < 30 * MEGABYTE:
            taken += client.peer.recv(MEGABYTE)
        start = taken.index(b"}\r\n") + 3
        assert taken.startswith(b"* 1 FETCH (")
        assert taken[start : start + len(message)] == message


# 20: the structure of a hostile message (tests/unit/mail/test_mime_attacks.py has them all)


def test_a_hostile_message_has_a_bounded_answer(client: Raw) -> None:
    """attacks 20: 10 MB of header, 100,000 recipients, 20,000 parts."""
    parts = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\ny\r\n" * 20_000
    people = b"To: " + b"a@b, " * 100_000 + b"c@d\r\n"
    padding = b"X-Padding: 0123456789\r\n" * 450_000
    client.ask(b"CREATE Hostile")
    client.append(b"Hostile", people + padding + parts)
    client.append(b"Hostile", people + parts)
    client.ask(b"SELECT Hostile")
    started = time.monotonic()
    *answers, last = client.ask(b"FETCH 1:2 (ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE)")
    assert last == b"OK FETCH completed"
    assert all(len(answer) < 4 * MEGABYTE for answer in answers)
    assert time.monotonic() - started < SOON


# 21, 22: names and patterns


@pytest.mark.parametrize(
    "name",
    [
        *(b"..", b"a/../b", b"a//b", b"/a", b"./a", b'"a\x01b"', b'"a*b"', b'"a%b"', b'""', b'"a\x7f"', b"&AAA-"),
        *(b"&AAo-", b"&AGE-", b"&", b"&AOk", b"&2D0-", b"&3gA-", b"&AOk-&AOk-", b'"\xc3\xa9"', b"x" * 1001),
        *(b"{3+}\r\na\x00b", b"/".join([b"l"] * 1000), b"inbox", b"INBOX", b"iNbOx/"),
        *(b"&" + b"AOk" * 100_000 + b"-", b"&" * 900_000),
    ],
)  # fmt: skip
def test_a_name_is_canonical_or_refused(client: Raw, name: bytes) -> None:
    """attacks 21: NO [CANNOT], or what is there already."""
    before = client.ask(b'LIST "" *')
    answer = client.last(b"CREATE " + name)
    assert answer.startswith((b"NO [CANNOT] ", b"NO [ALREADYEXISTS] ", b"BAD ")), answer
    assert client.ask(b'LIST "" *') == before


def test_twins_are_one_mailbox(client: Raw) -> None:
    """attacks 21: NFC and NFD of a name, and INBOX in any case, are the same mailbox. RFC 9051 §5.1."""
    client.ask(b"CREATE Caf&AOk-")
    assert client.last(b"CREATE Cafe&AwE-").startswith(b"NO [ALREADYEXISTS]")
    assert client.last(b"STATUS Cafe&AwE- (MESSAGES)").startswith(b"OK")
    for name in (b"inbox", b"InBoX", b'"INBOX"', b"{5+}\r\ninbox"):
        assert client.ask(b"STATUS %b (MESSAGES)" % name)[0] == b"* STATUS INBOX (MESSAGES 3)"


@pytest.mark.parametrize(
    "pattern", [b"%/" * 600 + b"%", b"*%" * 900, b"*a" * 900, b"%*" * 400_000, b"*" * 900_000]
)
def test_a_pattern_costs_no_more_than_others(client: Raw, pattern: bytes) -> None:
    """attacks 22."""
    client.ask(b"CREATE " + b"/".join([b"a" * 15] * 50))
    started = time.monotonic()
    for verb in (b"LIST", b"LSUB"):
        assert client.last(b'%b "" "%b"' % (verb, pattern)).startswith((b"OK", b"NO [CANNOT]"))
    assert time.monotonic() - started < SOON
