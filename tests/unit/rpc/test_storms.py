"""Everybody logs in at once, as after a restart."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from services.mail.store import Store
from services.mail.store.accounts import Account, Quota, Recipient
from services.plumbing.rpc.client.accounts import MAX_LOGINS
from tests.unit.rpc.ends import Site

CLIENTS = 2000


@dataclass(slots=True)
class SlowLogins:
    """Lets nobody in until the gate opens; resolves at once."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    is_full: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    most: int = 0

    async def authenticate(self, login: str, password: bytes, network: str, *_: object) -> Account:
        """See the port."""
        self.running += 1
        self.most = max(self.most, self.running)
        if self.running == MAX_LOGINS:
            self.is_full.set()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        return Account(int(login), login, True, Quota())

    async def resolve(self, address: str, size: int = 0) -> Sequence[Recipient]:
        """See the port."""
        return [Recipient(1, 1, address)]


async def test_a_storm_of_logins_leaves_room_for_other_calls_and_lets_everybody_in(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """attacks.md, "Login, everywhere": what waits is bounded at storage, and nobody is turned away for that."""
    accounts = SlowLogins()
    monkeypatch.setattr(site, "store", Store(*[accounts] * len(Store.__slots__)))  # type: ignore[arg-type]
    await site.add()
    async with site.client() as store:
        storm = [
            asyncio.create_task(store.accounts.authenticate(str(each), b"x", "127.0.0.1"))
            for each in range(CLIENTS)
        ]
        await accounts.is_full.wait()
        assert (await store.accounts.resolve("someone@example.org"))[0].account_id == 1
        assert not any(each.done() for each in storm)
        accounts.gate.set()
        assert [each.account_id for each in await asyncio.gather(*storm)] == list(range(CLIENTS))
    assert accounts.most == MAX_LOGINS
