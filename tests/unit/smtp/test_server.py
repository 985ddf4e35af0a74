"""The state machine, without sockets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mail.smtp import replies
from services.mail.smtp.commands import Data, Ehlo, Mail, Rcpt, StartTls, State
from services.mail.smtp.replies import Reply
from services.mail.smtp.server import (
    BodyChunk,
    BodyEnd,
    BodyRefused,
    Event,
    Limits,
    Refused,
    ServerConnection,
)

OK = replies.NOTHING_DONE


def drive(machine: ServerConnection, *pieces: bytes) -> list[Event]:
    """Answers every event as a server would that likes all letters."""
    events: list[Event] = []
    for piece in pieces:
        for event in machine.receive(piece):
            events.append(event)
            if isinstance(event, BodyChunk | BodyRefused):
                continue
            machine.send(answer(event))
    return events


def answer(event: Event) -> Reply:
    if isinstance(event, Refused):
        return event.reply
    return replies.SEND_DATA if isinstance(event, Data) else OK


def greeted(limits: Limits | None = None, *, offers_tls: bool = False) -> ServerConnection:
    machine = ServerConnection(limits or Limits(), offers_tls=offers_tls)
    drive(machine, b"EHLO client.example\r\n")
    return machine


def codes(events: list[Event]) -> list[int]:
    return [event.reply.code for event in events if isinstance(event, Refused)]


def test_a_pipelined_letter_comes_out_in_order() -> None:
    """RFC 2920 §3.1."""
    events = drive(
        greeted(),
        b"MAIL FROM:<a@example.net> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<b@example.com>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n",
    )
    assert [type(event).__name__ for event in events] == [
        "Mail",
        "Rcpt",
        "Data",
        "BodyChunk",
        "BodyEnd",
        "Quit",
    ]
    assert isinstance(events[3], BodyChunk)
    assert events[3].octets == b"hello\r\n"


@given(st.lists(st.integers(0, 300)))
def test_any_chunking_gives_the_same_events(cuts: list[int]) -> None:
    """A packet's edge means nothing."""
    octets = (
        b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@@example.com>\r\nNONSENSE\r\n"
        + b"x" * 60 + b"\r\nNOOP\n\r\nDATA\r\n..hello\r\n\r\n.\r\n"
        + b"MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\nQUIT\r\n"
    )  # fmt: skip
    at = sorted({cut % len(octets) for cut in cuts} | {0, len(octets)})
    pieces = [octets[start:end] for start, end in pairwise(at)]
    limits = Limits(line=60)
    assert flat(drive(greeted(limits), *pieces)) == flat(drive(greeted(limits), octets))


def flat(events: list[Event]) -> list[object]:
    """Events with chunks joined and replies as octets."""
    out: list[object] = []
    for event in events:
        if isinstance(event, BodyChunk):
            before = out.pop() if out and isinstance(out[-1], bytes) else b""
            assert isinstance(before, bytes)
            out.append(before + event.octets)
        else:
            out.append(repr(event.reply) if isinstance(event, Refused) else event)
    return out


def test_recipients_that_arrived_together_may_be_looked_at_together() -> None:
    """As many as may still be accepted, and answered in their order."""
    machine = greeted(Limits(recipients=3))
    drive(machine, b"MAIL FROM:<>\r\n")
    group = b"".join(b"RCPT TO:<%d@example.com>\r\n" % number for number in range(5))
    events = machine.receive(group)
    first = next(events)
    assert isinstance(first, Rcpt)
    more = machine.more_recipients()
    assert [each.recipient.local for each in (first, *more)] == ["0", "1", "2"]
    for _ in range(3):
        machine.send(replies.RECIPIENT_OK)
    rest = []
    for event in events:
        rest.append(event)
        machine.send(answer(event))
    assert codes(rest) == [452, 452]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"RCPT TO:<a@example.com>\r\n", 503),
        (b"DATA\r\n", 503),
        (b"MAIL FROM:<a@example.net>\r\nDATA\r\n", 554),
        (b"MAIL FROM:<a@example.net>\r\nMAIL FROM:<a@example.net>\r\n", 503),
        (b"MAIL FROM:<a@example.net> SIZE=104857601\r\n", 552),
        (b"MAIL FROM:<a@example.net> SIZE=1 SIZE=1\r\n", 501),
        (b"MAIL FROM:<a@example.net> FOO=1\r\n", 555),
        (b'MAIL FROM:<""@example.net>\r\n', 501),
        (b"MAIL FROM:<a@b@example.net>\r\n", 501),
        (b"MAIL FROM:<a\0@example.net>\r\n", 501),
        (b"MAIL FROM:<a\r@example.net>\r\n", 500),
        ("MAIL FROM:<ä@example.net>\r\n".encode(), 553),
        (b"MAIL FROM:<\xff@example.net>\r\n", 501),
        (b"MAIL FROM:<>\r\nRCPT TO:<a%example.net@example.com>\r\n", 553),
        (b"MAIL FROM:<>\r\nRCPT TO:<example.net!a@example.com>\r\n", 553),
        ("MAIL FROM:<>\r\nRCPT TO:<ä@example.com>\r\n".encode(), 553),
        (b"MAIL FROM:<>\r\nRCPT TO:<>\r\n", 501),
        (b"EXPN staff\r\n", 502),
        (b"XYZZY\r\n", 500),
        (b"NOOP\n", 500),
        (b"STARTTLS\r\n", 502),
        (b"NOOP " + b"x" * 2048 + b"\r\n", 500),
    ],
)
def test_what_is_refused_leaves_the_next_command_alone(octets: bytes, code: int) -> None:
    """attacks: addresses, sequences, sizes. RFC 5321 §4.2.4, §4.3.2, RFC 1870 §6.1, RFC 6531 §3.5."""
    machine = greeted()
    events = drive(machine, octets, b"RSET\r\n")
    assert codes(events) == [code]
    assert machine.state is State.READY


def test_source_routes_are_dropped_and_postmaster_needs_no_domain() -> None:
    """RFC 5321 §4.1.1.3, §4.5.1."""
    events = drive(greeted(), b"MAIL FROM:<@a.example,@b.example:c@example.net>\r\nRCPT TO:<Postmaster>\r\n")
    assert isinstance(events[0], Mail)
    assert isinstance(events[1], Rcpt)
    assert (str(events[0].sender), str(events[1].recipient)) == ("c@example.net", "postmaster")


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"EHLO client.example\r\nMAIL FROM:<a@example.net>\r\n",
        b"HELO client.example\r\nNOOP\r\n",
    ],
)
def test_who_speaks_out_of_turn_is_sent_away(octets: bytes) -> None:
    """attacks: pipelining before it was announced, HTTP verbs. RFC 2920 §3.1."""
    machine = ServerConnection(Limits())
    assert codes(drive(machine, octets)) == [554]
    assert machine.state is State.CLOSED


def test_a_message_behind_a_refused_data_is_never_read_as_commands() -> None:
    """A form of another protocol that carries SMTP in its body."""
    machine = greeted()
    assert codes(drive(machine, b"DATA\r\nMAIL FROM:<a@example.net>\r\n")) == [554]
    assert machine.state is State.CLOSED


def test_starttls_forgets_everything_that_was_said_in_plain_text() -> None:
    """RFC 3207 §4.2, CVE-2011-0411."""
    machine = greeted(offers_tls=True)
    events = drive(machine, b"MAIL FROM:<>\r\nSTARTTLS\r\nRCPT TO:<evil@example.com>\r\n")
    assert isinstance(events[-1], StartTls)
    assert machine.state is State.START
    assert codes(drive(machine, b"MAIL FROM:<>\r\n")) == [503]
    assert "STARTTLS" not in machine.keywords()


def test_a_body_with_a_bare_newline_is_refused_at_its_end() -> None:
    """CVE-2023-51764: and the session stays in step."""
    machine = greeted()
    events = drive(
        machine, b"MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n", b"a\n.\nb\r\n.\r\nNOOP\r\n"
    )
    assert [type(event).__name__ for event in events[3:]] == ["BodyRefused", "BodyEnd", "Noop"]
    assert isinstance(events[4], BodyEnd)
    assert replies.refusal(events[4].error or ValueError()).octets.startswith(b"550 5.6.0 ")


def test_ehlo_takes_a_name_or_nothing() -> None:
    """RFC 5321 §4.1.1.1."""
    machine = ServerConnection(Limits())
    events = drive(machine, b"EHLO\r\n", b"EHLO <script>\r\n", b"ehlo [IPv6:::1]\r\n")
    assert codes(events) == [501, 501]
    assert isinstance(events[-1], Ehlo)


def chunked(*pieces: bytes) -> list[Event]:
    """The events of a letter that is sent in chunks, in pieces of any size."""
    machine = greeted(Limits(message=1000))
    return drive(machine, b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.com>\r\n", *pieces)[2:]


@given(st.integers(1, 40))
def test_chunks_are_found_however_their_octets_come(step: int) -> None:
    """RFC 3030 §2: the octets that were announced, and then a command again."""
    octets = b"BDAT 8\r\nNOOP\r\n.\rBDAT 0\r\nBDAT 3 LAST\r\n\nb\r\nNOOP\r\n".replace(
        b"\nb\r\nNOOP", b"\nbcNOOP"
    )
    pieces = [octets[at : at + step] for at in range(0, len(octets), step)]
    events = chunked(*pieces)
    content = b"".join(event.octets for event in events if isinstance(event, BodyChunk))
    assert content == b"NOOP\r\n.\r\nbc"
    kinds = [type(event).__name__ for event in events if not isinstance(event, BodyChunk)]
    assert kinds == ["Bdat", "ChunkEnd", "Bdat", "ChunkEnd", "Bdat", "BodyEnd", "Noop"]


def test_a_chunk_of_any_size_that_nobody_wants_is_not_held() -> None:
    """It goes by, and is refused when it has."""
    machine = greeted()
    assert drive(machine, b"BDAT 99999999999999999999\r\n") == []
    for _ in range(10):
        assert drive(machine, b"NOOP\r\n" * 1000) == []
    assert machine.state is State.READY
