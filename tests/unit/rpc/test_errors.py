"""What one side raises, the other raises."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from services.mail.errors import BY_NAME, MailError, StoreUnavailable
from services.mail.store import Store
from services.mail.store.accounts import Account, Usage
from services.mail.store.deliveries import Addressee, Delivered, Letter, Mode
from services.mail.store.mailboxes import MailboxKey
from services.plumbing.rpc.errors import StorageFailed, one_line
from tests.unit.rpc.ends import Site

KEY = MailboxKey(1, 1)
SURROGATE = "\udc80"


class Raising:
    """Parts of a store that only raise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def authenticate(self, login: str, password: bytes, network: str, *_: object) -> Account:
        raise self.error

    async def usage(self, account_id: int) -> Usage:
        raise self.error

    async def read(self, mailbox: MailboxKey, uid: int, start: int, end: int) -> AsyncIterator[bytes]:
        if end > start:
            raise self.error
        yield b""

    async def append(self, *_: object) -> None:
        raise self.error

    async def deliver(self, letter: Letter) -> Delivered:
        return Delivered((self.error,), is_repeated=False)  # type: ignore[arg-type]


@pytest.fixture
def raising(site: Site) -> Raising:
    """Takes the place of the site's store."""
    parts = Raising(RuntimeError("not set"))
    site.store = Store(*[parts] * len(Store.__slots__))  # type: ignore[arg-type]
    return parts


@pytest.mark.parametrize("name", sorted(BY_NAME))
async def test_each_refusal_survives_every_way_of_calling(site: Site, raising: Raising, name: str) -> None:
    """On the exchange, alone, from a stream of parts, and to one; as an outcome of a delivery."""
    kind = BY_NAME[name]
    raising.error = kind("because of é")
    await site.add()
    async with site.client() as store:
        for asked in (
            store.accounts.authenticate("alice", b"x", ""),
            store.accounts.usage(1),
            anext(aiter(store.messages.read(KEY, 1, 0, 1))),
            anext(aiter(store.messages.read(KEY, 1, 0, 2**40))),
            store.messages.append(KEY, bytes(300_000), 300_000),
        ):
            with pytest.raises(kind) as raised:
                await asked
            assert type(raised.value) is kind
            assert raised.value.detail == "because of é"
        letter = Letter(uuid4(), (Addressee(KEY),), b"", mode=Mode.EACH)
        (outcome,) = (await store.deliveries.deliver(letter)).outcomes
        assert type(outcome) is kind
        assert isinstance(outcome, MailError)
        assert outcome.detail == "because of é"


async def test_a_bug_crosses_as_neutral_text(site: Site, raising: Raising) -> None:
    """The traceback stays in the log of the side that failed."""
    raising.error = KeyError("a secret")
    await site.add()
    async with site.client() as store:
        for asked in (store.accounts.authenticate("alice", b"x", ""), store.accounts.usage(1)):
            with pytest.raises(StorageFailed) as raised:
                await asked
            assert "secret" not in str(raised.value)


async def test_a_kind_of_a_refusal_crosses_as_that_refusal(site: Site, raising: Raising) -> None:
    class PoolEmpty(StoreUnavailable):
        """A refinement that only storage knows."""

    raising.error = PoolEmpty("wait")
    await site.add()
    async with site.client() as store:
        with pytest.raises(StoreUnavailable, match="wait"):
            await store.accounts.usage(1)


async def test_words_that_are_no_unicode_are_refused_and_not_sent(site: Site) -> None:
    """What canonical_name and the addresses' own check say of lone surrogates."""
    await site.add()
    async with site.client() as store:
        for asked, name in (
            (store.mailboxes.create(1, SURROGATE), "InvalidName"),
            (store.accounts.resolve(SURROGATE), "InvalidAddress"),
            (store.accounts.authenticate(SURROGATE, b"x", ""), "BadCredentials"),
        ):
            with pytest.raises(BY_NAME[name]):
                await asked


def test_a_detail_is_one_bounded_line_of_unicode() -> None:
    assert one_line(f"a\r\nb {SURROGATE}") == "a b ?"
    assert len(one_line("x" * 10_000)) == 500
