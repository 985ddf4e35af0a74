"""Under which addresses a recipient may be known.

The rule: two spellings that reach the same mailbox have one canonical form, `services.mail.address`'s, so that an
address is unique.
"""

from functools import lru_cache
from typing import Final

from services.mail.address import canonical, parse_domain, parse_mailbox
from services.mail.errors import InvalidAddress

POSTMASTER: Final = "postmaster"

_MAX_ADDRESS_OCTETS: Final = 254


@lru_cache(maxsize=4096)
def canonical_address(address: str) -> str:
    """The address's one spelling. RFC 5321 §4.1.2. Raises InvalidAddress."""
    found = canonical(parse_mailbox(address))
    if len(found.encode()) > _MAX_ADDRESS_OCTETS:
        raise InvalidAddress("the address is too long")
    return found


def alias_address(address: str) -> str:
    """An alias's one spelling: an address, `@domain` for a catch-all, or `postmaster`. Raises InvalidAddress."""
    if address.lower() == POSTMASTER:
        return POSTMASTER
    if address.startswith("@"):
        return f"@{parse_domain(address[1:])}"
    return canonical_address(address)


def candidates(address: str) -> list[str]:
    """The addresses under which a letter's recipient may be known, the best first.

    Itself, then without +detail, then the catch-all of its domain.
    """
    local, at, domain = address.rpartition("@")
    if not at:
        return [address]
    user, plus, _ = local.partition("+")
    bare = [f"{user}@{domain}"] if plus and user else []
    return [address, *bare, f"@{domain}"]
