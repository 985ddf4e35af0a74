"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: both ends prove that they know the password, and neither shows it.

RFC 5802, RFC 7677; the channel is bound by tls-server-end-point, RFC 5929 §4. The rule: whatever the client says in the
clear is in the message that both ends sign.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

from services.mail.errors import BadCredentials, ProtocolError
from services.mail.sasl.exchange import (
    Challenge,
    Channel,
    Exchange,
    ProofGiven,
    SaltAsked,
    decode,
    encode,
    text,
)
from services.mail.sasl.keys import PROOF_OCTETS

_BOUND: Final = b"p=tls-server-end-point"
# RFC 5802 §7: printable, without a comma.
_NONCE: Final = re.compile(rb"[!-+\--~]{1,256}")


def scram(initial: bytes | None, channel: Channel) -> Exchange:
    """Without channel binding."""
    return _exchange(initial, channel, is_bound=False)


def scram_plus(initial: bytes | None, channel: Channel) -> Exchange:
    """With it: whoever stands between shows another certificate, and is found out."""
    return _exchange(initial, channel, is_bound=True)


def _exchange(initial: bytes | None, channel: Channel, *, is_bound: bool) -> Exchange:
    first = (yield Challenge()) if initial is None else initial
    flag, authorize, header, bare = _header(first)
    _check_flag(flag, is_bound=is_bound, has_binding=bool(channel.end_point))
    login, nonce = _first(bare)
    nonce += channel.nonce
    server_first = b"r=%b,%b" % (nonce, (yield SaltAsked(login)))
    final = yield Challenge(server_first)
    unproved, found, proof = final.rpartition(b",p=")
    fields = unproved.split(b",")
    if not found or len(fields) < 2 or not fields[0].startswith(b"c=") or not fields[1].startswith(b"r="):
        raise ProtocolError("not a SCRAM answer")
    binding = header + (channel.end_point if is_bound else b"")
    if not hmac.compare_digest(decode(fields[0][2:]), binding) or fields[1][2:] != nonce:
        raise BadCredentials
    octets = decode(proof)
    if len(octets) != PROOF_OCTETS:
        raise ProtocolError("not a proof of SHA-256")
    message = b",".join((bare, server_first, unproved))
    signature = yield ProofGiven(authorize, login, message, octets)
    if (yield Challenge(b"v=" + encode(signature).encode())):
        raise ProtocolError("the exchange is over")


def _header(first: bytes) -> tuple[bytes, str, bytes, bytes]:
    """Flag, authzid, the whole GS2 header, and what follows it. RFC 5802 §7."""
    parts = first.split(b",", 2)
    if len(parts) != 3 or (parts[1] and not parts[1].startswith(b"a=")):
        raise ProtocolError("not a SCRAM answer")
    flag, authorize, bare = parts
    return flag, _name(authorize[2:]), first[: len(first) - len(bare)], bare


def _check_flag(flag: bytes, *, is_bound: bool, has_binding: bool) -> None:
    """RFC 5802 §6. Raises ProtocolError; BadCredentials where somebody hid the PLUS from the client."""
    if is_bound != (flag == _BOUND) or (not is_bound and flag not in (b"n", b"y")):
        raise ProtocolError("the channel binding is not the mechanism's")
    if flag == b"y" and has_binding:
        raise BadCredentials


def _first(bare: bytes) -> tuple[str, bytes]:
    """Login and nonce. RFC 5802 §5.1: an `m=` in front is an extension that must be understood; we know none."""
    fields = bare.split(b",")
    if len(fields) < 2 or not fields[0].startswith(b"n=") or not fields[1].startswith(b"r="):
        raise ProtocolError("not a SCRAM answer")
    nonce = fields[1][2:]
    if not _NONCE.fullmatch(nonce):
        raise ProtocolError("not a nonce")
    return _name(fields[0][2:]), nonce


def _name(octets: bytes) -> str:
    """A saslname: `=2C` is a comma, `=3D` an equals sign, and no other `=` may be there."""
    if re.search(rb"=(?!2C|3D)", octets):
        raise ProtocolError("not a SCRAM name")
    return text(octets.replace(b"=2C", b",").replace(b"=3D", b"="))
