"""SCRAM's machine, without a store: what it asks, and what it refuses. RFC 5802, RFC 7677."""

import base64

import pytest

from services.mail.errors import BadCredentials, ProtocolError
from services.mail.sasl.exchange import Challenge, Channel, Exchange, ProofGiven, SaltAsked
from services.mail.sasl.keys import Keys, make_keys, make_salt
from services.mail.sasl.preparation import prepared
from services.mail.sasl.scram import scram, scram_plus
from tests.fakes.scram import ScramClient

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
SALTED = b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
NONCE = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
BOUND = b"\x01" * 32


def proof_of(exchange: Exchange, client: ScramClient) -> ProofGiven:
    """What the machine asks of the store about this client, whose first message was given in advance."""
    assert isinstance(next(exchange), SaltAsked)
    challenge = exchange.send(SALTED)
    assert isinstance(challenge, Challenge)
    asked = exchange.send(client.final(challenge.octets))
    assert isinstance(asked, ProofGiven)
    return asked


def test_the_example_of_rfc_7677() -> None:
    """RFC 7677 §3, to the octet, on both sides."""
    exchange = scram(None, Channel(NONCE))
    assert next(exchange) == Challenge()
    assert exchange.send(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == SaltAsked("user")
    assert exchange.send(SALTED) == Challenge(b"r=rOprNGfwEbeRWgbNEkqO" + NONCE + b"," + SALTED)
    asked = exchange.send(
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert isinstance(asked, ProofGiven)
    signature = make_keys(b"pencil", SALT, 4096).signature(asked.message, asked.proof)
    assert signature is not None
    assert exchange.send(signature) == Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(StopIteration):
        exchange.send(b"")


def test_only_the_right_password_makes_the_proof() -> None:
    """And only keys of this very exchange."""
    keys = make_keys(b"pencil", SALT, 4096)
    right = proof_of(
        scram(ScramClient("user", b"pencil").first, Channel(NONCE)), ScramClient("user", b"pencil")
    )
    wrong = proof_of(scram(ScramClient("user", b"pencil").first, Channel(NONCE)), ScramClient("user", b"pen"))
    assert keys.signature(right.message, right.proof) is not None
    assert keys.signature(wrong.message, wrong.proof) is None
    assert keys.signature(right.message + b"x", right.proof) is None
    assert keys.signature(right.message, b"") is None
    assert Keys(b"\0" * 32, keys.server).signature(right.message, right.proof) is None


def test_names_may_hold_commas_and_equals_signs() -> None:
    """RFC 5802 §5.1; whom to act for travels beside. RFC 5802 §7."""
    client = ScramClient("a=2Cb=3Dc", b"pencil", authorize="d=2Ce")
    asked = proof_of(scram(client.first, Channel(NONCE)), client)
    assert (asked.login, asked.authorize) == ("a,b=c", "d,e")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,n=user",
        b"n,,r=nonce,n=user",
        b"n,,m=x,n=user,r=nonce",
        b"n,,n=us=er,r=nonce",
        b"n,,n=us=2cer,r=nonce",
        b"n,,n=\xff,r=nonce",
        b"n,,n=user,r=",
        b"n,,n=user,r=\x7f",
        b"n,,n=user,r=" + b"x" * 257,
        b"n,x=y,n=user,r=nonce",
        b"x,,n=user,r=nonce",
        b"p=tls-unique,,n=user,r=nonce",
        b"p=tls-server-end-point,,n=user,r=nonce",
    ],
)
def test_what_is_no_first_message_is_refused(first: bytes) -> None:
    """Before the store is asked anything. RFC 5802 §7."""
    with pytest.raises(ProtocolError):
        next(scram(first, Channel(NONCE)))


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws",
        b"c=biws,r=%n",
        b"c=biws,r=%n,p=",
        b"c=biws,r=%n,p=AAAA",
        b"c=biws,r=%n,p=!",
        b"c=!,r=%n,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"r=%n,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    ],
)
def test_what_is_no_final_message_is_refused(final: bytes) -> None:
    """RFC 5802 §7."""
    exchange = scram(ScramClient("user", b"pencil").first, Channel(NONCE))
    next(exchange)
    exchange.send(SALTED)
    with pytest.raises(ProtocolError):
        exchange.send(final.replace(b"%n", b"rOprNGfwEbeRWgbNEkqO" + NONCE))


def test_another_nonce_or_header_is_refused() -> None:
    """Whoever changed what the client said before is found out. RFC 5802 §5.1."""
    proof = b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    for final in (b"c=biws,r=rOprNGfwEbeRWgbNEkqO", b"c=eSws,r=rOprNGfwEbeRWgbNEkqO" + NONCE):
        exchange = scram(ScramClient("user", b"pencil").first, Channel(NONCE))
        next(exchange)
        exchange.send(SALTED)
        with pytest.raises(BadCredentials):
            exchange.send(final + proof)


def test_a_client_that_was_not_told_of_plus_is_refused() -> None:
    """RFC 5802 §6: `y` says that it would have taken it, and it was offered; without TLS there is nothing to hide."""
    hidden = ScramClient("user", b"pencil", flag="y")
    with pytest.raises(BadCredentials):
        next(scram(hidden.first, Channel(NONCE, BOUND)))
    proof_of(scram(hidden.first, Channel(NONCE)), hidden)


def test_the_channel_is_bound() -> None:
    """RFC 5802 §6, RFC 5929 §4: the certificate that the client has seen is the one that we have shown."""
    bound = ScramClient("user", b"pencil", flag="p=tls-server-end-point", bound=BOUND)
    asked = proof_of(scram_plus(bound.first, Channel(NONCE, BOUND)), bound)
    assert make_keys(b"pencil", SALT, 4096).signature(asked.message, asked.proof) is not None
    for other in (b"\x02" * 32, b""):
        deceived = ScramClient("user", b"pencil", flag="p=tls-server-end-point", bound=other)
        with pytest.raises(BadCredentials):
            proof_of(scram_plus(deceived.first, Channel(NONCE, BOUND)), deceived)
    for flag in ("n", "y", "p=tls-unique", "p=tls-exporter"):
        with pytest.raises(ProtocolError):
            next(scram_plus(ScramClient("user", b"", flag=flag).first, Channel(NONCE, BOUND)))


def test_salts_are_of_logins_and_of_the_installation() -> None:
    """The same one always, another for others."""
    assert make_salt(b"k", "a@b") == make_salt(b"k", "a@b")
    assert len({make_salt(b"k", "a@b"), make_salt(b"k", "b@b"), make_salt(b"l", "a@b")}) == 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0007\u00e4", "\u0007\u00e4"),
        ("\u0627\u0031", "\u0627\u0031"),
        ("\u0627\u0031\u0627", "\u0627\u0031\u0627"),
    ],
)
def test_passwords_that_look_the_same_are_the_same(given: str, kept: str) -> None:
    """RFC 4013 §3; what may not be there stays as it was."""
    assert prepared(given.encode()) == kept.encode()


def test_a_password_need_not_be_text() -> None:
    """Any octets are one."""
    assert prepared(b"\xff\xfe") == b"\xff\xfe"
