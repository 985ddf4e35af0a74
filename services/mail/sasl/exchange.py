"""What every SASL mechanism is here: a machine that says what it needs next. RFC 4422 §3.

The rule: a machine decides nothing about who may come in; it asks, and only the store answers. Nothing of an exchange
is logged, and an error never repeats what was sent.
"""

from __future__ import annotations

import binascii
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.mail.errors import ProtocolError

# Octets of a line of an exchange, base64 and all: RFC 4954 §4 asks for so many, and a token may need them.
LONGEST_LINE: Final = 12_288


@dataclass(frozen=True, slots=True)
class Channel:
    """What a mechanism knows of its connection.

    nonce: printable, new for each exchange. end_point: the hash of our certificate, b"" where there is none to bind to.
    issuer: whose tokens are taken, "" where none are.
    """

    nonce: bytes
    end_point: bytes = b""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Say this to the client; what it answers comes back."""

    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class PasswordGiven:
    """Ask the store about this password; it settles who has logged in.

    authorize: whom to act for, "" for oneself. password: any octets but NUL.
    """

    authorize: str
    login: str
    password: bytes


@dataclass(frozen=True, slots=True)
class SaltAsked:
    """Ask the store for a login's salt; `s=…,i=…` comes back. RFC 5802 §5.1."""

    login: str


@dataclass(frozen=True, slots=True)
class ProofGiven:
    """Ask the store about this proof; our own signature comes back, and it is settled who has logged in.

    authorize: as in PasswordGiven. message: AuthMessage. proof: ClientProof. RFC 5802 §3.
    """

    authorize: str
    login: str
    message: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class TokenGiven:
    """Ask the store about this bearer token; it settles who has logged in, or something comes back that is not empty.

    login: whom it should be of, "" for whoever it is.
    """

    login: str
    token: str


Step: TypeAlias = Challenge | PasswordGiven | SaltAsked | ProofGiven | TokenGiven
Exchange: TypeAlias = Generator[Step, bytes, None]


def encode(octets: bytes) -> str:
    """Octets of a challenge as they stand on a line."""
    return binascii.b2a_base64(octets, newline=False).decode("ascii")


def decode(line: bytes) -> bytes:
    """The octets of a client's line. Raises ProtocolError, also where the client gave up. RFC 4422 §3.5."""
    if line == b"*":
        raise ProtocolError("the exchange was cancelled")
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except ValueError:  # binascii.Error is one
        raise ProtocolError("not base64") from None


def decode_initial(word: bytes) -> bytes:
    """The octets of an initial response, where `=` is none at all. RFC 4954 §4, RFC 4959 §3, RFC 5034 §4."""
    return b"" if word == b"=" else decode(word)


def text(octets: bytes) -> str:
    """Octets that should be UTF-8 without NUL. Raises ProtocolError."""
    try:
        found = octets.decode()
    except UnicodeDecodeError:
        raise ProtocolError("not UTF-8") from None
    if "\0" in found:
        raise ProtocolError("NUL where text should be")
    return found
