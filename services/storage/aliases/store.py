"""Aliases on PostgreSQL. The rule: what may be is decided by the statement that writes it."""

from collections.abc import Sequence
from typing import Final

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
from services.storage.accounts.spelling import alias_address, canonical_address
from services.storage.aliases import statements
from services.storage.arrays import Texts
from services.storage.transaction import DIRECTORY, Database

MAX_PAGE: Final = 200


class PostgresAliases:
    """Implements `services.mail.store.aliases.Aliases`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, address: str, targets: Sequence[str]) -> Alias:
        """See the port."""
        canonical = alias_address(address)
        wanted = sorted({canonical_address(target) for target in targets})[: MOST_TARGETS + 1]
        if not wanted:
            raise InvalidArgument("an alias leads to at least one address")
        domain = canonical.rpartition("@")[2] if "@" in canonical else ""
        values = {
            "address": canonical,
            "domain": domain,
            "targets": Texts(wanted),
            "most_targets": MOST_TARGETS,
            "most_reached": MOST_REACHED,
        }
        rows = await self._database.transact([DIRECTORY], (statements.ADD, values))
        is_ours, is_taken, is_loop, missing, is_too_much, all_targets = rows[0][0]
        if not is_ours:
            raise DomainUnknown(f"{domain} is not one of our domains")
        if is_taken:
            raise AddressInUse(f"{canonical} is an account")
        # Before what is missing: an alias that is new is no target yet, and least of all of its own.
        if is_loop:
            raise AliasLoop(f"{canonical} would lead to itself")
        if missing is not None:
            raise TargetUnknown(f"{missing} is neither an account nor an alias")
        if is_too_much:
            raise LimitExceeded(f"an alias leads to {MOST_TARGETS} addresses, and {MOST_REACHED} in the end")
        return Alias(canonical, all_targets)

    async def list(self, page_size: int, page_token: str = "", target: str = "") -> AliasPage:
        """See the port."""
        size = min(max(page_size, 1), MAX_PAGE)
        values = {"after": page_token, "limit": size + 1}
        if target:
            of_target = {**values, "target": alias_address(target)}
            rows = await self._database.read(statements.LIST_OF_TARGET, of_target)
        else:
            rows = await self._database.read(statements.LIST, values)
        return page_of([Alias(*row) for row in rows], size)

    async def remove(self, address: str, targets: Sequence[str] = ()) -> None:
        """See the port."""
        canonical = alias_address(address)
        unwanted = Texts({canonical_address(target) for target in targets})
        values = {"address": canonical, "account_id": 0, "targets": unwanted}
        if not (await self._database.transact([DIRECTORY], (statements.CUT, values)))[0]:
            raise AliasUnknown(f"{canonical} does not lead there" if unwanted else "")
