"""OAUTHBEARER (RFC 7628), and XOAUTH2, which it came from and which clients still speak.

The rule: what the token says is the store's to find out; here it is a word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Final

from services.mail.errors import BadCredentials, ProtocolError
from services.mail.sasl.exchange import Challenge, Channel, Exchange, Step, TokenGiven, text

_SEPARATOR: Final = b"\x01"
# RFC 6750 §2.1; the scheme in letters of any case, RFC 7628 §4.
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


def oauthbearer(initial: bytes | None, channel: Channel) -> Exchange:
    """Whom to act for, and the token. RFC 7628 §3.1."""
    answer = (yield Challenge()) if initial is None else initial
    header, *pairs = answer.split(_SEPARATOR)
    # A gs2-header; there is no channel to bind to.
    found = re.fullmatch(rb"[ny],(?:a=([^,]*))?,", header)
    if found is None or pairs[-2:] != [b"", b""]:
        raise ProtocolError("not an OAUTHBEARER answer")
    name = (found[1] or b"").replace(b"=2C", b",").replace(b"=3D", b"=")
    refusal = {"status": "invalid_token", "openid-configuration": configuration_of(channel.issuer)}
    yield from _settle(text(name), _token(pairs[:-2]), refusal)


def xoauth2(initial: bytes | None, _: Channel) -> Exchange:
    """The same with less around it, as Google wrote it down."""
    answer = (yield Challenge()) if initial is None else initial
    user, *pairs = answer.split(_SEPARATOR)
    if not user.startswith(b"user=") or pairs[-2:] != [b"", b""]:
        raise ProtocolError("not an XOAUTH2 answer")
    yield from _settle(text(user[5:]), _token(pairs[:-2]), {"status": "401", "schemes": "bearer"})


def configuration_of(issuer: str) -> str:
    """Where a client may look for who gives tokens. RFC 7628 §3.2.2."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def _settle(login: str, token: str, refusal: dict[str, str]) -> Generator[Step, bytes, None]:
    """Asks the store; a client that is refused is told so, and answers once more. RFC 7628 §3.2.3."""
    if (yield TokenGiven(login, token)):
        yield Challenge(json.dumps(refusal).encode())
        raise BadCredentials


def _token(pairs: list[bytes]) -> str:
    """That of the `auth` key. RFC 7628 §3.1."""
    values = [pair[5:] for pair in pairs if pair.startswith(b"auth=")]
    found = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise ProtocolError("no bearer token")
    return found[1].decode("ascii")
