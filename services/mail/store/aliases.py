"""Aliases: addresses whose letters go to others. This part of the store's port.

The rule: an address is an account's or an alias, never both; whatever an alias leads to is ours, and never itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

# Addresses that one alias leads to, and accounts that one address reaches in the end.
MOST_TARGETS: Final = 500
MOST_REACHED: Final = 1000
# Of the addresses of one page: an answer has a bound, and an alias may lead to many.
PAGE_CHARACTERS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Alias:
    """One alias. address: canonical, or `@domain` for a domain's catch-all; targets: accounts and aliases, in order."""

    address: str
    targets: Sequence[str]


@dataclass(frozen=True, slots=True)
class AliasPage:
    """Aliases by address; `next_page_token` is "" on the last page."""

    aliases: Sequence[Alias]
    next_page_token: str


def page_of(aliases: Sequence[Alias], most: int) -> AliasPage:
    """The first of these, `most` or as many as one answer holds, one at least; the others follow."""
    held = characters = 0
    for alias in aliases[:most]:
        characters += len(alias.address) + sum(map(len, alias.targets))
        if held and characters > PAGE_CHARACTERS:
            break
        held += 1
    return AliasPage(aliases[:held], aliases[held - 1].address if held < len(aliases) else "")


class Aliases(Protocol):
    """The aliases of an installation."""

    async def add(self, address: str, targets: Sequence[str]) -> Alias:
        """Has letters to an address go to these too; what it led to before stays. Answers all of it.

        `@domain` takes what nobody else of the domain does. Raises AddressInUse where an account has the address,
        AliasLoop, DomainUnknown, InvalidAddress, InvalidArgument, LimitExceeded, TargetUnknown.
        """
        ...

    async def list(self, page_size: int, page_token: str = "", target: str = "") -> AliasPage:
        """Aliases by address: all, or those that lead to `target` at once. Raises InvalidAddress."""
        ...

    async def remove(self, address: str, targets: Sequence[str] = ()) -> None:
        """Takes these out of an alias, or all; an alias that leads nowhere goes, and out of those that led to it.

        Raises AliasUnknown, InvalidAddress.
        """
        ...
