"""The table of refusals, against the grammars that its words go into."""

import re

import grpc
import pytest

from services.mail.errors import BUG, BY_NAME, TABLE, MailboxNotFound, MailError, wording

# RFC 5530 §3, RFC 9051 §7.1, RFC 4978, RFC 3501 §7.1 and what it names.
IMAP_CODES = frozenset(
    {
        *(
            "AUTHENTICATIONFAILED",
            "NOPERM",
            "CONTACTADMIN",
            "PRIVACYREQUIRED",
            "UNAVAILABLE",
            "CANNOT",
            "LIMIT",
        ),
        *("NONEXISTENT", "TRYCREATE", "ALREADYEXISTS", "INUSE", "HASCHILDREN", "EXPUNGEISSUED", "TOOBIG"),
        "USEATTR",
        *("OVERQUOTA", "SERVERBUG", "BAD"),
    }
)
POP3_CODES = frozenset({"", "AUTH", "SYS/TEMP", "SYS/PERM", "IN-USE", "LOGIN-DELAY"})


def kinds() -> list[type[MailError]]:
    """Every refusal there is, however deep."""
    found: list[type[MailError]] = []
    waiting = [MailError]
    while waiting:
        below = waiting.pop().__subclasses__()
        found += below
        waiting += below
    return [kind for kind in found if kind.__module__ == "services.mail.errors"]


def test_every_refusal_has_a_row_and_a_name() -> None:
    """The name is what travels over gRPC."""
    assert set(kinds()) == set(TABLE)
    assert {name: BY_NAME[name] for name in BY_NAME} == {kind.__name__: kind for kind in TABLE}


@pytest.mark.parametrize("row", [*TABLE.values(), BUG])
def test_each_row_is_sayable_on_every_door(row: object) -> None:
    """RFC 9051 §7.1, RFC 5321 §4.2, RFC 3463 §2, RFC 2449 §8, RFC 3206."""
    assert isinstance(row, type(BUG))
    assert all(hasattr(grpc.StatusCode, code) for code in row.grpc)
    assert row.imap is None or row.imap in IMAP_CODES | {""}
    assert row.imap_target is None or row.imap_target in IMAP_CODES
    assert row.pop3 is None or row.pop3 in POP3_CODES
    assert re.fullmatch(r"[ -~]{1,200}", row.text)
    if row.smtp is not None:
        code, enhanced = row.smtp
        assert 400 <= code <= 559
        assert re.fullmatch(r"[45]\.\d{1,3}\.\d{1,3}", enhanced)
        assert enhanced[0] == str(code)[0], "the first digits agree (RFC 2034 §4)"


def test_what_is_temporary_over_grpc_is_temporary_over_smtp() -> None:
    """A client that may retry is told so on every door."""
    for kind, row in TABLE.items():
        if "UNAVAILABLE" in row.grpc or "RESOURCE_EXHAUSTED" in row.grpc:
            assert row.smtp is not None, kind
            assert 400 <= row.smtp[0] < 500, kind


def test_a_refusal_of_a_finer_kind_is_worded_as_its_base() -> None:
    """Subclasses outside the table fall back along their ancestors; whatever else is a bug."""

    class Missing(MailboxNotFound):
        pass

    assert wording(Missing()) is TABLE[MailboxNotFound]
    assert wording(ValueError("x")) is BUG
    assert wording(MailError("x")) is BUG


def test_a_refusal_without_detail_says_the_words_of_the_table() -> None:
    """And with one, the detail."""
    assert MailboxNotFound().text == "No such mailbox"
    assert MailboxNotFound("no Trash here").text == "no Trash here"
