"""The mechanisms by name, in the order in which a client should prefer them.

The rule: one table for all doors; what is not in it is not announced, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.mail.sasl.exchange import Channel, Exchange, decode_initial
from services.mail.sasl.login import login
from services.mail.sasl.oauth import oauthbearer, xoauth2
from services.mail.sasl.plain import plain
from services.mail.sasl.scram import scram, scram_plus

MECHANISMS: Final[dict[str, Callable[[bytes | None, Channel], Exchange]]] = {
    "SCRAM-SHA-256-PLUS": scram_plus,
    "SCRAM-SHA-256": scram,
    "PLAIN": plain,
    "LOGIN": login,
    "OAUTHBEARER": oauthbearer,
    "XOAUTH2": xoauth2,
}
_OF_TOKENS: Final = frozenset({"OAUTHBEARER", "XOAUTH2"})


def offered(end_point: bytes, issuer: str) -> tuple[str, ...]:
    """What may be announced where passwords may travel. end_point, issuer: see Channel."""
    return tuple(
        name
        for name in MECHANISMS
        if (end_point or not name.endswith("-PLUS")) and (issuer or name not in _OF_TOKENS)
    )


def is_offered(name: str, end_point: bytes, issuer: str) -> bool:
    """Whether there is a mechanism of this name, in letters of any case. RFC 4422 §3.1."""
    return name.upper() in offered(end_point, issuer)


def begin(name: str, initial: bytes | None, channel: Channel) -> Exchange:
    """The machine of a mechanism that is offered.

    initial: the client's first answer in base64, where it came with the command. Raises ProtocolError.
    """
    return MECHANISMS[name.upper()](None if initial is None else decode_initial(initial), channel)
