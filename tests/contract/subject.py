"""A store under test, with what tests need besides the port: fresh accounts, and a hand on log and clock.

The rule: a test makes its own accounts and looks at nothing else, so that all tests may share one database.
"""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from services.mail.store import Store
from services.mail.store.accounts import Account, Quota
from services.mail.store.deliveries import Addressee, Letter, Mode
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Items, Page
from services.mail.store.uids import LAST_UID, Runs

DOMAIN = "contract.test"
MAX_MESSAGE_OCTETS = 8 * 1024 * 1024
EVERY: Runs = ((1, LAST_UID),)
# What a new account has, in the order in which it is told.
DEFAULT = ["Archive", "Drafts", "INBOX", "Junk", "Sent", "Trash"]
UNBOUNDED = Quota()

_numbers = itertools.count(1)


@dataclass
class Subject:
    """One implementation.

    trim: raises the log's floor; advance: lets seconds pass for leases; prepare: an account's texts, for searching.
    """

    store: Store
    trim: Callable[[int], Awaitable[None]]
    advance: Callable[[float], Awaitable[None]]
    prepare: Callable[[int], Awaitable[None]]
    accounts: list[Account] = field(default_factory=list)

    async def account(self, quota: Quota = UNBOUNDED) -> Account:
        """A fresh account of the test's own."""
        await self.store.accounts.add_domain(DOMAIN)
        address = f"u{next(_numbers)}-{uuid4().hex[:8]}@{DOMAIN}"
        account = await self.store.accounts.add_account(address, b"secret", quota)
        self.accounts.append(account)
        return account

    async def inbox(self, quota: Quota = UNBOUNDED) -> MailboxKey:
        """The INBOX of a fresh account."""
        account = await self.account(quota)
        return (await self.store.mailboxes.status(account.account_id, "INBOX"))[0].key

    async def append(self, mailbox: MailboxKey, *flags: str, octets: bytes = b"A: b\r\n\r\nc\r\n") -> int:
        """Adds a message; answers its uid."""
        return (await self.store.messages.append(mailbox, octets, len(octets), flags)).uid

    async def fill(self, mailbox: MailboxKey, messages: int) -> None:
        """Adds small messages."""
        for number in range(1, messages + 1):
            await self.append(mailbox, octets=b"Subject: %d\r\n\r\n" % number)

    async def rows(self, mailbox: MailboxKey, uids: Runs, items: Items) -> Page:
        """All pages as one."""
        return await joined(self.store.messages.fetch(mailbox, uids, items))

    async def octets(self, mailbox: MailboxKey, uid: int) -> bytes:
        """One message, read as a stream."""
        return b"".join([chunk async for chunk in self.store.messages.read(mailbox, uid, 0, 2**40)])

    async def live(self, mailbox: MailboxKey) -> list[int]:
        """The uids that live, as a status counts them and a fetch of flags finds them."""
        delta = await self.store.mailboxes.sync(
            mailbox, await self.store.mailboxes.highest_modseq(mailbox), 1
        )
        return [uid for first, last in delta.added for uid in range(first, last + 1)]


async def joined(pages: AsyncIterator[Page]) -> Page:
    """The columns of all pages, one after the other."""
    found = [page async for page in pages]
    columns: dict[str, list[object]] = {name: [] for name in Page.__slots__}
    for page in found:
        assert 1 <= len(page.uids) <= 1000
        for name in Page.__slots__:
            if name != "keywords":
                columns[name] += getattr(page, name)
    keywords = found[-1].keywords if found else ()
    return Page(**{**columns, "keywords": keywords})  # type: ignore[arg-type]


def letter(
    *mailboxes: MailboxKey,
    body: bytes | AsyncIterator[bytes] = b"A: b\r\n\r\nc\r\n",
    heads: Sequence[bytes] = (),
    mode: Mode = Mode.ALL,
    request_id: UUID | None = None,
    size: int | None = None,
) -> Letter:
    """A letter to some mailboxes."""
    addressees = [
        Addressee(mailbox, heads[number] if number < len(heads) else b"")
        for number, mailbox in enumerate(mailboxes)
    ]
    known = size if size is not None or not isinstance(body, bytes) else len(body)
    return Letter(request_id or uuid4(), addressees, body, known, mode)


def message(octets: int) -> bytes:
    """A message of exactly so many octets, with every octet value but NUL in it."""
    head = b"Subject: size\r\nFrom: a@contract.test\r\n\r\n"
    line = bytes(range(1, 10)) + bytes(range(14, 256)) + b"\r\n"
    return (head + line * (octets // len(line) + 1))[:octets]


async def in_chunks(octets: bytes, *sizes: int) -> AsyncIterator[bytes]:
    """The octets in chunks of odd sizes, over and over."""
    position = 0
    for size in itertools.cycle(sizes):
        if position >= len(octets):
            return
        yield octets[position : position + size]
        position += size
