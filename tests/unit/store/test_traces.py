"""What a trace knows of a delivery: by its trace headers and its ENVELOPE."""

import pytest

from services.mail.mime.envelope import render_envelope
from services.mail.store.traces import delivered_with


def message_id(envelope: bytes) -> str:
    """As a trace has it."""
    return delivered_with(b"", envelope)["message_id"]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b" <a@b.test>", "a@b.test"),
        (b' <"x y"@b.test>', '"x y"@b.test'),
        (b' <\\"\\\\"@b.test>', '\\"\\\\"@b.test'),
        (b" <a\\\\>", "a\\\\"),
        (b' "', '"'),
        (b" ", ""),
        (b" <" + b"x" * 2000 + b">", "x" * 320),
    ],
)
def test_the_message_id_is_what_the_envelope_ends_with(field: bytes, expected: str) -> None:
    """Whatever is quoted in it, and whatever else of the envelope is quoted. RFC 9051 §7.5.2."""
    others = [(b"subject", b' "a" \\ "b'), (b"in-reply-to", b' <"c"@d.test>')]
    assert message_id(render_envelope([*others, (b"message-id", field)])) == expected


def test_an_envelope_without_a_message_id_has_none() -> None:
    """Also where another string comes last but one, or a literal last."""
    assert message_id(render_envelope([(b"in-reply-to", b" <a@b.test>")])) == ""
    assert message_id(render_envelope([(b"message-id", b" <\xff@b.test>")])) == ""
    assert message_id(b"") == ""


def test_a_subject_of_quotes_costs_no_more_than_another() -> None:
    """Storage does nothing else meanwhile: what looks from each quote to the end takes many minutes here."""
    envelope = render_envelope([(b"subject", b' "' + b'"' * 8190), (b"message-id", b" <a@b.test>")])
    assert {message_id(envelope) for _ in range(500)} == {"a@b.test"}
