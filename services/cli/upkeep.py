"""`restante verify`: whether what is stored adds up.

The rule: drifts go to stdout as they are found, how far it has come to stderr; a drift makes the exit code 1.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from services.cli.output import AsJson, printable, refusals, size_of
from services.mail.store import Store
from services.mail.store.upkeep import Verified

# For one step: an account of millions is recounted in one.
_PATIENCE: Final = 600.0
_PROGRESS_SECONDS: Final = 0.2


def verify(
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="One account; all of them without it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recount every account and compare the hashes of what is stored; name whatever does not add up.

    It only reads, beside live traffic. Exit code 1 where there is a drift.
    """
    from services.cli.store import ask_store

    seen = _Seen(as_json)
    try:
        with refusals():
            ask_store(lambda store: _verify(store, address, seen), _PATIENCE)
    finally:
        seen.end()
    if as_json:
        sys.stdout.write(json.dumps(seen.summary()) + "\n")
    else:
        sys.stderr.write(seen.line() + "\n")
    if seen.drifts:
        raise typer.Exit(1)


async def _verify(store: Store, address: str | None, seen: "_Seen") -> None:
    account_id = 0
    if address is not None:
        account = await store.accounts.find_account(address)
        account_id, seen.names[account.account_id] = account.account_id, account.address
    else:
        token = ""
        while True:
            page = await store.accounts.list_accounts(1000, token)
            seen.names.update({each.account_id: each.address for each in page.accounts})
            if not (token := page.next_page_token):
                break
    async for step in store.upkeep.verify(account_id):
        seen.take(step)


@dataclass(slots=True)
class _Seen:
    """What has been verified so far, and how it is told."""

    as_json: bool
    names: dict[int, str] = field(default_factory=dict)
    accounts: int = 0
    bodies: int = 0
    octets: int = 0
    drifts: list[tuple[str, str]] = field(default_factory=list)
    told_at: float = 0.0

    def take(self, step: Verified) -> None:
        """Tells what a step found."""
        self.accounts += step.is_done
        self.bodies += step.bodies
        self.octets += step.octets
        whose = self.names.get(step.account_id, f"account {step.account_id}")
        for text in step.drifts:
            self.drifts.append((whose, text))
            if not self.as_json:
                self.end()
                sys.stdout.write(f"{whose}: {printable(text)}\n")
                sys.stdout.flush()
        if sys.stderr.isatty() and time.monotonic() - self.told_at > _PROGRESS_SECONDS:
            self.told_at = time.monotonic()
            sys.stderr.write(f"\r\033[K{self.accounts:,} of {len(self.names):,} accounts, {self._read()}")
            sys.stderr.flush()

    def end(self) -> None:
        """Clears the line of progress."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def line(self) -> str:
        """The end of it, for people."""
        found = f"{len(self.drifts):,} drifts" if self.drifts else "no drift"
        return f"{found}: {self.accounts:,} accounts, {self._read()}"

    def summary(self) -> dict[str, object]:
        """The whole of it, for programs."""
        drifts = [{"account": whose, "drift": text} for whose, text in self.drifts]
        return {"accounts": self.accounts, "bodies": self.bodies, "bytes": self.octets, "drifts": drifts}

    def _read(self) -> str:
        return f"{self.bodies:,} bodies, {size_of(self.octets)}"
