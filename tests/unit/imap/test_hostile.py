"""A megabyte of arguments that nobody should send; tests/fuzz has what nobody would think of."""

import pytest

from services.mail.errors import ProtocolError
from services.mail.imap.arguments import Arguments
from services.mail.imap.search import keys


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
