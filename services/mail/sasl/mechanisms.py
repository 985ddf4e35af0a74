"""The mechanisms by name, in the order in which a client should prefer them.

The rule: one table for all doors; what is not in it is not announced, and the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.mail.sasl.exchange import Exchange, decode_initial
from services.mail.sasl.login import login
from services.mail.sasl.plain import plain

MECHANISMS: Final[dict[str, Callable[[bytes | None], Exchange]]] = {"PLAIN": plain, "LOGIN": login}


def offered() -> tuple[str, ...]:
    """What may be announced where passwords may travel."""
    return tuple(MECHANISMS)


def is_offered(name: str) -> bool:
    """Whether there is a mechanism of this name, in letters of any case. RFC 4422 §3.1."""
    return name.upper() in MECHANISMS


def begin(name: str, initial: bytes | None) -> Exchange:
    """The machine of a mechanism that is offered.

    initial: the client's first answer in base64, where it came with the command. Raises ProtocolError.
    """
    return MECHANISMS[name.upper()](None if initial is None else decode_initial(initial))
