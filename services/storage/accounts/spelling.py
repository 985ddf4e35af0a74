"""Under which addresses a recipient may be known.

The rule: two spellings that reach the same mailbox have one canonical form, `services.mail.address`'s, so that an
address is unique.
"""

from functools import lru_cache
from typing import Final

from services.mail.address import canonical, parse_mailbox
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


def candidates(address: str) -> list[str]:
    """The addresses under which a letter's recipient may be known, the best first: itself, then without +detail."""
    local, _, domain = address.rpartition("@")
    user, plus, _ = local.partition("+")
    return [address, f"{user}@{domain}"] if plus and user else [address]
