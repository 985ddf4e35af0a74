"""OAUTHBEARER and XOAUTH2 without a store. RFC 7628."""

import json

import pytest

from services.mail.errors import BadCredentials, ProtocolError
from services.mail.sasl.exchange import Challenge, Channel, TokenGiven
from services.mail.sasl.oauth import oauthbearer, xoauth2

CHANNEL = Channel(b"nonce", issuer="https://login.example.org/")
TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
BEARER = (
    b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer %b\x01\x01" % TOKEN.encode()
)


def test_the_example_of_rfc_7628() -> None:
    """RFC 7628 §4.1, with the initial response and without it."""
    assert next(oauthbearer(BEARER, CHANNEL)) == TokenGiven("user@example.com", TOKEN)
    exchange = oauthbearer(None, CHANNEL)
    assert next(exchange) == Challenge()
    assert exchange.send(BEARER) == TokenGiven("user@example.com", TOKEN)
    with pytest.raises(StopIteration):
        exchange.send(b"")


def test_a_refused_client_is_told_where_tokens_come_from() -> None:
    """RFC 7628 §3.2.2, and what it answers then ends the exchange. RFC 7628 §3.2.3."""
    exchange = oauthbearer(BEARER, CHANNEL)
    next(exchange)
    challenge = exchange.send(b"refused")
    assert isinstance(challenge, Challenge)
    assert json.loads(challenge.octets) == {
        "status": "invalid_token",
        "openid-configuration": "https://login.example.org/.well-known/openid-configuration",
    }
    with pytest.raises(BadCredentials):
        exchange.send(b"\x01")


def test_xoauth2_says_the_same_in_other_words() -> None:
    """As Google wrote it down."""
    exchange = xoauth2(b"user=user@example.com\x01auth=Bearer %b\x01\x01" % TOKEN.encode(), CHANNEL)
    assert next(exchange) == TokenGiven("user@example.com", TOKEN)
    challenge = exchange.send(b"refused")
    assert isinstance(challenge, Challenge)
    assert json.loads(challenge.octets)["schemes"] == "bearer"
    with pytest.raises(BadCredentials):
        exchange.send(b"")


def test_nobody_need_be_named() -> None:
    """The token says who it is. RFC 7628 §3.1: the gs2-header may have no authzid."""
    assert next(oauthbearer(b"n,,\x01auth=bearer t\x01\x01", CHANNEL)) == TokenGiven("", "t")
    assert next(oauthbearer(b"y,a=a=2Cb=3Dc,\x01auth=Bearer t\x01\x01", CHANNEL)) == TokenGiven("a,b=c", "t")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x01",
        b"n,,",
        b"n,,\x01\x01",
        b"n,,\x01auth=Bearer t",
        b"n,,\x01auth=Bearer t\x01",
        b"n,,\x01auth=Basic t\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Bearer t t\x01\x01",
        b"n,,\x01auth=Bearer t\x01auth=Bearer t\x01\x01",
        b"p=tls-unique,,\x01auth=Bearer t\x01\x01",
        b"n,a=\xff,\x01auth=Bearer t\x01\x01",
        b"n,a=a\x00,\x01auth=Bearer t\x01\x01",
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    """Before the store is asked anything."""
    with pytest.raises(ProtocolError):
        next(oauthbearer(answer, CHANNEL))
    with pytest.raises(ProtocolError):
        next(xoauth2(answer, CHANNEL))
