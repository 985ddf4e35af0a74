"""Catching up where the change log no longer reaches back."""

import pytest

from services.imap.session.state import Selected, SessionState
from services.imap.session.updates import Updates
from services.imap.session.view import View
from services.mail.errors import MailboxNotFound
from services.mail.store.uids import from_masks
from tests.fakes.memory import MemoryStore

LETTER = b"Subject: x\r\n\r\nx\r\n"


async def selected_work(store: MemoryStore) -> Selected:
    """A session's view of a mailbox called Work with two messages."""
    await store.accounts.add_domain("example.org")
    account = await store.accounts.add_account("alice@example.org", b"x")
    mailbox = await store.mailboxes.create(account.account_id, "Work")
    for _ in range(2):
        await store.messages.append(mailbox.key, LETTER, len(LETTER))
    opened = await store.mailboxes.open(account.account_id, "Work", False)
    status = opened.status
    view = View(from_masks(opened.blocks, opened.masks), status.uid_next, status.highest_modseq)
    return Selected(mailbox, True, view)


async def test_a_mailbox_renamed_elsewhere_is_followed_by_its_key() -> None:
    """RFC 9051 §6.3.6: another mailbox that took the name is not what this session has selected."""
    store = MemoryStore()
    selected = await selected_work(store)
    key = selected.mailbox.key
    await store.mailboxes.rename(key.account_id, "Work", "Old")
    other = await store.mailboxes.create(key.account_id, "Work")
    for _ in range(5):
        await store.messages.append(other.key, LETTER, len(LETTER))
    await store.messages.append(key, LETTER, len(LETTER))
    store.state.trim(key.account_id)
    await Updates(store, SessionState()).catch_up(selected, tells_expunges=True)
    assert selected.view.count == 3


async def test_a_mailbox_deleted_elsewhere_ends_the_session() -> None:
    """RFC 9051 §6.3.5."""
    store = MemoryStore()
    selected = await selected_work(store)
    key = selected.mailbox.key
    await store.mailboxes.delete(key.account_id, "Work")
    await store.mailboxes.create(key.account_id, "Work")
    store.state.trim(key.account_id)
    with pytest.raises(MailboxNotFound):
        await Updates(store, SessionState()).catch_up(selected, tells_expunges=True)
