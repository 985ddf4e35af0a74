"""An account and its INBOX in a store, as tests of POP3 want them."""

from services.mail.store import Store
from services.mail.store.mailboxes import INBOX, Mailbox
from services.mail.store.messages import Items, Page
from services.mail.store.uids import from_masks

ADDRESS = "alice@example.org"
PASSWORD = b"a secret"


async def account_with(store: Store, address: str, password: bytes) -> int:
    """Makes an account and its domain; answers its id."""
    await store.accounts.add_domain(address.rpartition("@")[2])
    return (await store.accounts.add_account(address, password)).account_id


async def inbox(store: Store, account_id: int) -> Mailbox:
    """The account's INBOX."""
    return (await store.mailboxes.open(account_id, INBOX, claims_recent=False)).mailbox


async def add_message(store: Store, account_id: int, body: bytes) -> int:
    """Adds a message to INBOX; answers its uid."""
    return (await store.messages.append((await inbox(store, account_id)).key, body, len(body))).uid


async def inbox_of(store: Store, account_id: int) -> Page:
    """What is in INBOX: uids and sizes."""
    opened = await store.mailboxes.open(account_id, INBOX, claims_recent=False)
    uids: list[int] = []
    sizes: list[int] = []
    async for page in store.messages.fetch(
        opened.mailbox.key, from_masks(opened.blocks, opened.masks), Items.SIZE
    ):
        uids.extend(page.uids)
        sizes.extend(page.sizes)
    return Page(uids, sizes=sizes)
