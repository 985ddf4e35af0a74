"""Envelope addresses as they stand in MAIL and RCPT. RFC 5321 §4.1.2, RFC 6531 §3.3.

It knows their grammar. The rule: what does not match the grammar is refused, never repaired into somebody else's
address; source routes alone are accepted and dropped (RFC 5321 §4.1.1.3).
"""

import re
from dataclasses import dataclass
from typing import Final

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\xa0-\U0010ffff-]"
_DOT_STRING = rf"{_ATEXT}+(?:\.{_ATEXT}+)*"
_QUOTED = r'"(?:[ !#-\[\]-~\xa0-\U0010ffff]|\\[ -~])+"'
_LABEL = r"(?!-)[A-Za-z0-9_\xa0-\U0010ffff-]{1,63}(?<!-)"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[(?:IPv6:[0-9A-Fa-f:.]{2,45}|\d{1,3}(?:\.\d{1,3}){3})\]"
_ROUTE = rf"(?:@{_NAME}(?:,@{_NAME})*:)?"

# The inside of the angle brackets: an optional source route, the local part and the domain, in groups.
MAILBOX: Final = rf"{_ROUTE}(?P<local>{_DOT_STRING}|{_QUOTED})@(?P<domain>{_NAME}|{_LITERAL})"

# Senders of bulk mail encode much into the local part, so the 64 octets of RFC 5321 §4.5.3.1.1, a minimum, are too few.
_LONGEST_LOCAL: Final = 256
_LONGEST_DOMAIN: Final = 255

_ROUTING: Final = frozenset("%!@")

_PLAIN = re.compile(_DOT_STRING)
_ESCAPED = re.compile(r"\\(.)")
_HOSTNAME = re.compile(r"[A-Za-z0-9._\[\]:-]{1,255}")


@dataclass(frozen=True, slots=True)
class Path:
    """An envelope address without its brackets. The null sender has both parts empty; <postmaster> has no domain."""

    local: str = ""
    domain: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it is <>, the sender of what must never be answered. RFC 5321 §4.5.5."""
        return not self.local

    @property
    def is_ascii(self) -> bool:
        """Whether it can travel without SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()

    @property
    def is_relay_attempt(self) -> bool:
        """Whether the local part holds another route: a%b, a!b, "a@b". RFC 5321 §5.1 leaves these to the host."""
        return not _ROUTING.isdisjoint(self.local)

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


NULL: Final = Path()


def build(local: str, domain: str) -> Path | None:
    """The path of two parts that matched `MAILBOX`; quotes that do nothing go. None where a part is too long."""
    if local.startswith('"'):
        inside = _ESCAPED.sub(r"\1", local[1:-1])
        if _PLAIN.fullmatch(inside):
            local = inside
    if len(local) > _LONGEST_LOCAL or len(domain) > _LONGEST_DOMAIN:
        return None
    return Path(local, domain)


def is_hostname(name: str) -> bool:
    """Whether a name of EHLO can stand in a trace header: a domain or address literal, generously read."""
    return _HOSTNAME.fullmatch(name) is not None
