"""Sessions that move from process to process by their tokens. The store is in memory."""

import asyncio
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imap.session.folders import Folders
from services.imap.session.state import Extension, Selected, SessionState
from services.imap.session.token import Token, resume
from services.imap.session.view import View
from services.mail.errors import AccountDisabled, BehindFloor, MailboxNotFound
from services.mail.store import Store
from services.mail.store.mailboxes import Listing
from tests.fakes.memory import MemoryStore
from tests.unit.imap.moving import LETTER, Life, compare


async def begun(store: MemoryStore) -> Life:
    """A session with QRESYNC on a mailbox with two messages."""
    await store.accounts.add_domain("example.org")
    account = await store.accounts.add_account("alice@example.org", b"x")
    inbox = (await store.mailboxes.status(account.account_id, "INBOX"))[0].key
    for _ in range(2):
        await store.messages.append(inbox, LETTER, len(LETTER))
    return await Life.begin(store, account, Extension.QRESYNC | Extension.CONDSTORE)


@given(st.integers(0, 2**32), st.integers(1, 40))
@settings(max_examples=150, deadline=None)
def test_whoever_is_moved_hears_what_the_others_hear(seed: int, steps: int) -> None:
    """Neither the client nor what it is told can tell that the process is another one."""

    async def live() -> None:
        store = MemoryStore()
        await store.accounts.add_domain("example.org")
        one = await store.accounts.add_account("one@example.org", b"x")
        two = await store.accounts.add_account("two@example.org", b"x")
        await compare(store, (one, two), seed, steps)

    asyncio.run(live())


async def test_a_message_that_was_never_told_has_no_number_afterwards() -> None:
    """It came and went while an expunge was held back; RFC 9051 §7.5.1."""
    store = MemoryStore()
    life = await begun(store)
    await store.messages.expunge(life.key, ((1, 1),), even_undeleted=True)
    await store.messages.append(life.key, LETTER, len(LETTER))
    await store.messages.expunge(life.key, ((3, 3),), even_undeleted=True)
    await life.updates.catch_up(life.selected, tells_expunges=False)
    await life.move()
    assert life.selected.view.runs == ((1, 2),)
    told = await life.updates.catch_up(life.selected, tells_expunges=True)
    assert [each.render() for each in told] == [b"* VANISHED 1\r\n", b"* 1 RECENT\r\n"]


async def test_a_token_keeps_what_was_enabled_and_who_it_is() -> None:
    """RFC 5161 §3.1: it stays until the connection ends."""
    store = MemoryStore()
    life = await begun(store)
    life.state.selected = None
    state = await resume(store, Token.decode(Token.of(life.state).encode()), Folders())
    assert state == SessionState(life.state.account, None, life.state.enabled)


async def test_a_mailbox_that_is_renamed_meanwhile_is_found() -> None:
    """RFC 9051 §6.3.6: sessions go on in a mailbox that was renamed, whoever runs them."""
    store = MemoryStore()
    life = await begun(store)
    work = await store.mailboxes.create(life.key.account_id, "Work")
    opened = await store.mailboxes.open(life.key.account_id, "Work", False)
    life.state.selected = Selected(opened.mailbox, True, View.of(opened))

    class Racing:
        """Renames it once, behind the first listing."""

        is_first = True

        def __getattr__(self, name: str) -> Any:
            return getattr(store.mailboxes, name)

        async def list(self, account_id: int) -> Listing:
            listing = await store.mailboxes.list(account_id)
            if self.is_first:
                self.is_first = False
                await store.mailboxes.rename(account_id, "Work", "Old")
            return listing

    parts = {part.name: getattr(store, part.name) for part in fields(Store)}
    racing: Any = Store(**{**parts, "mailboxes": Racing()})
    state = await resume(racing, Token.of(life.state), Folders())
    assert state.selected is not None
    assert (state.selected.mailbox.key, state.selected.mailbox.name) == (work.key, "Old")


async def test_a_session_whose_mailbox_or_account_is_gone_is_not_taken_up() -> None:
    """It ends with BYE, as it would have."""
    store = MemoryStore()
    life = await begun(store)
    token = Token.of(life.state)
    await store.messages.expunge(life.key, ((1, 1),), even_undeleted=True)
    store.state.trim(life.key.account_id)
    with pytest.raises(BehindFloor):
        await resume(store, token, Folders())
    del store.state.ledgers[life.key.account_id].folders[life.key.mailbox_id]
    with pytest.raises(MailboxNotFound):
        await resume(store, token, Folders())
    await store.accounts.set_enabled(life.key.account_id, False)
    with pytest.raises(AccountDisabled):
        await resume(store, token, Folders())


@pytest.mark.parametrize(
    "octets", [b"", b"{}", b"[]", b"[1,2,3]", b'[2,1,"a",0,"",null]', b'[1,1,"a",0,"",[1]]']
)
def test_what_is_no_token_is_refused(octets: bytes) -> None:
    """A process of another version may have written it."""
    with pytest.raises(ValueError, match="token"):
        Token.decode(octets)
