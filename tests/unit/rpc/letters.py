"""Accounts and letters for these tests, and parts of a store that wait where a test wants them to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from uuid import UUID, uuid4

from services.mail.errors import MailError
from services.mail.store import Store
from services.mail.store.deliveries import Addressee, Delivered, Deliveries, Letter
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended, Items
from services.mail.store.uids import LAST_UID

TEXT = b"Subject: a letter\r\n\r\nand its text\r\n"


async def make_inbox(store: Store, name: str = "alice") -> MailboxKey:
    """A fresh account's INBOX."""
    await store.accounts.add_domain("example.org")
    account = await store.accounts.add_account(f"{name}@example.org", b"secret")
    mailbox, _ = await store.mailboxes.status(account.account_id, "INBOX")
    return mailbox.key


def letter_to(mailbox: MailboxKey, body: bytes = TEXT) -> Letter:
    """A letter that nobody sent before."""
    return Letter(uuid4(), (Addressee(mailbox),), body, len(body))


async def bodies(store: Store, mailbox: MailboxKey) -> list[bytes | None]:
    """What the mailbox holds."""
    pages = store.messages.fetch(mailbox, ((1, LAST_UID),), Items.BODY)
    return [body async for page in pages for body in page.bodies]


async def until_there_are(store: Store, mailbox: MailboxKey, count: int) -> None:
    """Waits until the mailbox holds so many; the log tells of each."""
    watch = store.changes.watch()
    await watch.add(mailbox.account_id)
    events = aiter(watch)
    while len(await bodies(store, mailbox)) < count:
        await anext(events)
    await watch.close()


@dataclass(slots=True)
class HeldDeliveries:
    """Deliveries that wait: `before` anything is stored, or `after` it."""

    inner: Deliveries
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    before: asyncio.Event = field(default_factory=asyncio.Event)
    after: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[Letter] = field(default_factory=list)

    async def deliver(self, letter: Letter) -> Delivered:
        """See the port. All of the body has come when it has arrived."""
        if not isinstance(letter.body, bytes):
            letter = replace(letter, body=b"".join([chunk async for chunk in letter.body]))
        self.taken.append(letter)
        self.arrived.set()
        await self.before.wait()
        delivered = await self.inner.deliver(letter)
        await self.after.wait()
        return delivered

    async def settle(
        self, request_id: UUID, mailboxes: Sequence[MailboxKey]
    ) -> Sequence[Appended | MailError]:
        """See the port."""
        return await self.inner.settle(request_id, mailboxes)


def with_deliveries(store: Store, deliveries: Deliveries) -> Store:
    """The same store with other deliveries."""
    parts = {field.name: getattr(store, field.name) for field in fields(Store)}
    return Store(**(parts | {"deliveries": deliveries}))
