"""What things cost, counted: a count tells the speed beforehand.

The rule: doors, the network and PostgreSQL are real; statements are counted where they are sent, messages where they
become octets.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.wire import Imap
from services.imap import commands
from services.imap.door import Door as ImapDoor
from services.imap.settings import Settings as ImapSettings
from services.imap.signals import Signals
from services.mail.store.mailboxes import MailboxKey
from services.plumbing import metrics
from services.plumbing.net.limits import Limits
from services.plumbing.net.listener import Listener
from services.plumbing.presence import Presence
from services.smtp.door import Door as SmtpDoor
from services.smtp.settings import Settings as SmtpSettings
from services.storage.store import PostgresStore, open_store
from tests.faults.generator import Connection, letter
from tests.faults.stores import DOMAIN, PASSWORD, add_inbox, held, letter_to, until
from tests.storage.counted import asked
from tests.unit.rpc.ends import site_of

LETTERS = 50
MESSAGES = 1000


@dataclass
class House:
    """Both doors before one copy of storage, all in this process."""

    store: PostgresStore
    smtp: SmtpDoor
    imap: Listener
    address: str
    inbox: MailboxKey

    def costs(self) -> Counter[str]:
        """Statements by name and messages by method and way, so far."""
        found = asked(self.store)
        for family in metrics.rpc_messages.collect():
            for sample in family.samples:
                # Watch tells what others did, whenever it hears of it.
                if sample.name.endswith("_total") and sample.labels["method"] != "Watch":
                    found[f"{sample.labels['method']} {sample.labels['way']}"] += int(sample.value)
        return found

    async def reader(self) -> Imap:
        """Somebody who has logged in."""
        imap = Imap(*await asyncio.open_connection("127.0.0.1", self.imap.port, limit=4 << 20))
        await imap.ask("NOOP")
        await imap.ask(f'LOGIN "{self.address}" "{PASSWORD}"')
        return imap


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """A house with one account."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(database_url))
        site = await stack.enter_async_context(site_of(store, tmp_path))
        await site.add()
        remote = await stack.enter_async_context(site.client())
        await store.accounts.add_domain(DOMAIN)
        inbox = await add_inbox(store)
        address = (await store.accounts.list_accounts(1)).accounts[0].address
        smtp = SmtpDoor(
            remote, SmtpSettings.read({"RESTANTE_SMTP_PORT": "0", "RESTANTE_SMTP_LMTP_PORT": "0"}), None
        )
        await smtp.start()
        stack.push_async_callback(smtp.stop, 1.0)
        assert commands.FAMILIES
        signals = Signals(remote.changes)
        following = asyncio.create_task(signals.run())
        stack.callback(following.cancel)
        stopping = asyncio.Event()
        # It notes who is there, and writes nothing as long as nobody starts it.
        presence = Presence(remote.sessions, "imap", "")
        door = ImapDoor(ImapSettings.read({}), remote, signals, stopping, presence)
        imap = Listener("127.0.0.1", 0, door.serve, tls=None, implicit_tls=False, limits=Limits(10, 10))
        await stack.enter_async_context(imap)
        stack.callback(stopping.set)
        yield House(store, smtp, imap, address, inbox)


async def test_a_letter_alone_costs_two_statements_and_two_questions(house: House) -> None:
    """Who gets it, and itself; each an answer. Nothing is asked of the database besides."""
    connection = await Connection.open(house.smtp.port)
    for number in range(3):
        before = house.costs()
        await connection.envelope(house.address)
        await connection.content(letter(f"{number}@faults.test"))
        spent = house.costs() - before
        assert spent == {"resolve": 1, "deliver": 1, "Exchange in": 2, "Exchange out": 2}
    await connection.quit()


async def test_fifty_letters_that_wait_share_what_they_cost(house: House, database_url: str) -> None:
    """One statement finds the account busy; then BEGIN, lock, statement and COMMIT, at most for two batches."""

    async def is_waiting() -> bool:
        return house.store.gatherer.waiting >= LETTERS

    connections = [await Connection.open(house.smtp.port) for _ in range(LETTERS)]
    await asyncio.gather(*(each.envelope(house.address) for each in connections))
    before = house.costs()
    async with held(database_url, house.inbox.account_id):
        contents = [each.content(letter(f"{number}@faults.test")) for number, each in enumerate(connections)]
        sending = asyncio.gather(*contents)
        await until(is_waiting)
    await sending
    spent = house.costs() - before
    await asyncio.gather(*(each.quit() for each in connections))
    assert spent.pop("Exchange in") <= LETTERS
    assert spent.pop("Exchange out") <= 4
    assert set(spent) == {"deliver", "begin", "lock accounts", "commit"}
    assert spent.total() <= 10


async def test_a_fetch_of_a_thousand_costs_four_statements_and_a_page(house: House) -> None:
    """Whether the view is still right, the mailbox, its blocks, its rows. Flags that are known cost the first alone."""
    await asyncio.gather(*(house.store.deliveries.deliver(letter_to(house.inbox)) for _ in range(MESSAGES)))
    imap = await house.reader()
    await imap.ask("SELECT INBOX")
    view = {"highest modseq": 1, "Exchange in": 1, "Exchange out": 1}
    flags = {"fetch mailbox": 1, "fetch blocks": 1}
    page = {"Fetch in": 1, "Fetch out": 1}
    for items, expected in (
        ("FLAGS UID", {**view, **flags, "Exchange in": 2, "Exchange out": 2}),
        ("FLAGS UID", view),
        ("FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE", {**view, **flags, **page, "list range": 1}),
        ("BODY.PEEK[]", {**view, **flags, **page, "bodies range": 1}),
    ):
        before = house.costs()
        answer = await imap.ask(f"FETCH 1:* ({items})")
        assert answer.count(b" FETCH (") == MESSAGES
        assert house.costs() - before == expected, items
    await imap.close()


async def test_opening_a_mailbox_costs_one_question(house: House) -> None:
    """Its snapshot is all that is told; what is \\Recent is claimed once."""
    await house.store.deliveries.deliver(letter_to(house.inbox))
    imap = await house.reader()
    wire = {"open": 1, "Exchange in": 1, "Exchange out": 1}
    for command, expected in (
        ("SELECT INBOX", {**wire, "claim recent": 1}),
        ("SELECT INBOX", wire),
        ("EXAMINE INBOX", wire),
    ):
        before = house.costs()
        await imap.ask(command)
        assert house.costs() - before == expected, command
    await imap.close()


async def test_a_search_by_flag_asks_storage_and_brings_no_flags(house: House) -> None:
    """What storage decides is not fetched to be decided here; flags that are at hand cost a question alone."""
    await asyncio.gather(*(house.store.deliveries.deliver(letter_to(house.inbox)) for _ in range(MESSAGES)))
    imap = await house.reader()
    await imap.ask("SELECT INBOX")
    view = {"highest modseq": 1}
    before = house.costs()
    answer = await imap.ask("SEARCH RETURN (COUNT) UNSEEN")
    assert b"COUNT %d" % MESSAGES in answer
    search = {"search: mailbox": 1, "search: blocks": 1}
    assert house.costs() - before == {**view, **search, "Exchange in": 2, "Exchange out": 2}
    await imap.ask("FETCH 1:* (FLAGS)")
    before = house.costs()
    assert b"COUNT %d" % MESSAGES in await imap.ask("SEARCH RETURN (COUNT) UNSEEN")
    assert house.costs() - before == {**view, "Exchange in": 1, "Exchange out": 1}
    await imap.close()


async def test_a_listing_with_counters_costs_one_statement_and_one_question(house: House) -> None:
    """However many mailboxes there are; and one of them costs no more than itself."""
    for number in range(6):
        await house.store.mailboxes.create(
            house.inbox.account_id, "/".join([f"t{number}", *map(str, range(49))])
        )
    imap = await house.reader()
    wire = {"Exchange in": 1, "Exchange out": 1}
    for command, names, expected in (
        ('LIST "" * RETURN (STATUS (MESSAGES UNSEEN))', 306, {**wire, "list statuses": 1}),
        ('LIST (SUBSCRIBED) "" * RETURN (CHILDREN)', 6, {**wire, "list mailboxes": 1}),
        ('LIST "" t3/%', 1, {**wire, "list mailboxes": 1}),
    ):
        before = house.costs()
        answer = await imap.ask(command)
        assert answer.count(b"* LIST (") == names
        assert answer.count(b"* STATUS ") in (0, names)
        assert house.costs() - before == expected, command
    before = house.costs()
    await imap.ask("CREATE t3/x/y/z")
    one = {"begin": 1, "lock accounts": 1, "create mailbox": 1, "find made mailbox": 1, "commit": 1}
    assert house.costs() - before == {**one, "Exchange in": 1, "Exchange out": 1}
    await imap.close()
