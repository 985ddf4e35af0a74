"""Aliases in memory: each is checked by walking what it leads to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.mail.errors import (
    AddressInUse,
    AliasLoop,
    AliasUnknown,
    DomainUnknown,
    InvalidArgument,
    LimitExceeded,
    TargetUnknown,
)
from services.mail.store.aliases import MOST_REACHED, MOST_TARGETS, Alias, AliasPage, page_of
from services.storage.accounts.spelling import POSTMASTER, alias_address, canonical_address
from tests.fakes.memory.state import State


@dataclass(frozen=True, slots=True)
class MemoryAliases:
    """The port's Aliases."""

    state: State

    async def add(self, address: str, targets: Sequence[str]) -> Alias:
        """Has letters to an address go to these too."""
        aliases, accounts = self.state.aliases, self.state.accounts_by_address()
        canonical = alias_address(address)
        wanted = {canonical_address(target) for target in targets}
        if not wanted:
            raise InvalidArgument
        if canonical != POSTMASTER and canonical.rpartition("@")[2] not in self.state.domains:
            raise DomainUnknown
        if canonical in accounts:
            raise AddressInUse
        wanted |= aliases.get(canonical, set())
        if canonical in self.state.reached(wanted):
            raise AliasLoop
        if not wanted <= accounts.keys() | aliases.keys():
            raise TargetUnknown
        if len(wanted) > MOST_TARGETS or len(self.state.reached(wanted)) > MOST_REACHED:
            raise LimitExceeded
        aliases[canonical] = wanted
        return Alias(canonical, sorted(wanted))

    async def list(self, page_size: int, page_token: str = "", target: str = "") -> AliasPage:
        """In the order of addresses; the token is the last address told."""
        only = alias_address(target) if target else ""
        rest = [
            Alias(address, sorted(led))
            for address, led in sorted(self.state.aliases.items())
            if address > page_token and (not only or only in led)
        ]
        return page_of(rest, max(page_size, 1))

    async def remove(self, address: str, targets: Sequence[str] = ()) -> None:
        """Takes these out of an alias, or all."""
        canonical = alias_address(address)
        unwanted = {canonical_address(target) for target in targets}
        led = self.state.aliases.get(canonical)
        if led is None or not unwanted <= led:
            raise AliasUnknown
        led -= unwanted or set(led)
        drop_empty(self.state)


def drop_empty(state: State, gone: Iterable[str] = ()) -> None:
    """Takes addresses that are gone out of all aliases, and then each alias that leads nowhere, until none is left."""
    dead = set(gone)
    while dead or not all(state.aliases.values()):
        dead |= {address for address, led in state.aliases.items() if not led}
        for address in dead:
            state.aliases.pop(address, None)
        for led in state.aliases.values():
            led.difference_update(dead)
        dead = set()
