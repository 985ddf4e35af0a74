"""How sessions end, and what does not end them. The store is in memory."""

import asyncio
import dataclasses
import re
from contextlib import suppress
from typing import Any

import pytest
from pydantic import ValidationError

from services.imap.commands import idling
from services.imap.settings import Settings
from services.mail.errors import StoreUnavailable
from services.mail.store import Store
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, expect, hear
from tests.unit.imap.sessions import Reluctant, door_serves, logged_in, logged_in_to


async def test_a_session_in_idle_hears_that_its_mailbox_is_gone(store: MemoryStore) -> None:
    """RFC 9051 §6.3.5."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "Archive")
        client.send(b"i IDLE\r\n")
        await expect(client, "+ ...")
        await dialogues.meanwhile(store, "delete Archive")
        await expect(client, "* BYE ...")
        await expect(client, "end")


@pytest.mark.parametrize("command", ["COPY 1 INBOX", "MOVE 1 INBOX"])
async def test_what_is_copied_out_of_a_mailbox_that_is_gone_offers_to_create_nothing(
    store: MemoryStore, command: str
) -> None:
    """RFC 9051 §6.4.7: TRYCREATE is about the target, which is there."""
    await dialogues.meanwhile(store, "deliver Archive")
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "Archive")
        await dialogues.meanwhile(store, "delete Archive")
        client.send(f"c {command}\r\n".encode())
        await expect(client, "* BYE ...")
        await expect(client, "end")


async def test_a_session_in_idle_stays_while_the_store_is_away(store: MemoryStore) -> None:
    """RFC 2177: what it could not be told then, it is told later."""
    account = await store.accounts.find_account("alice@example.org")
    asked = asyncio.Event()

    class Away:
        is_away = True

        def __getattr__(self, name: str) -> Any:
            return getattr(store.mailboxes, name)

        async def highest_modseq(self, mailbox: Any) -> int:
            if self.is_away and await store.mailboxes.highest_modseq(mailbox) > 1:
                asked.set()
                raise StoreUnavailable
            return await store.mailboxes.highest_modseq(mailbox)

    away = Away()
    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    watching: Any = Store(**{**parts, "mailboxes": away})
    async with dialogues.door(watching) as door, dialogues.over_socket(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"i IDLE\r\n")
        await expect(client, "+ ...")
        await dialogues.meanwhile(store, "deliver INBOX")
        await asyncio.wait_for(asked.wait(), 10)
        away.is_away = False
        door.signals._wake([account.account_id])
        await expect(client, "* 1 EXISTS")
        await expect(client, "* 1 RECENT")
        client.send(b"DONE\r\n")
        await expect(client, "i OK ...")


class Away:
    """Mailboxes that cannot be asked for news while they are away."""

    def __init__(self, mailboxes: Any) -> None:
        self._mailboxes = mailboxes
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._mailboxes, name)

    async def highest_modseq(self, mailbox: Any) -> int:
        """See the port."""
        if self.is_away:
            raise StoreUnavailable
        return int(await self._mailboxes.highest_modseq(mailbox))


def without_news(store: MemoryStore) -> tuple[Any, Away]:
    """The same store, and a hand on its news."""
    away = Away(store.mailboxes)
    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    return Store(**{**parts, "mailboxes": away}), away


async def test_what_was_done_is_said_even_if_the_news_cannot_be_asked_for(store: MemoryStore) -> None:
    """Else the client would append its message again. NOOP, which is there for the news, is refused."""
    forgetful, away = without_news(store)
    async with dialogues.door(forgetful) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        away.is_away = True
        client.send(b"a APPEND INBOX {6+}\r\na: b\r\n\r\n")
        await expect(client, "a OK [APPENDUID ...")
        client.send(b"b NOOP\r\n")
        await expect(client, "b NO ...")
        away.is_away = False
        client.send(b"c NOOP\r\n")
        await expect(client, "* 1 EXISTS")
        await expect(client, "* 1 RECENT")
        await expect(client, "c OK ...")


async def test_what_was_removed_is_said_even_if_the_news_cannot_be_asked_for(store: MemoryStore) -> None:
    """It is told later, and the OK reaches no further than the news: RFC 6851 §3.3, RFC 7162 §3.2.7."""
    await dialogues.meanwhile(store, "deliver INBOX")
    await dialogues.meanwhile(store, "deliver INBOX")
    forgetful, away = without_news(store)
    async with dialogues.door(forgetful) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"q ENABLE QRESYNC\r\ns STORE 1 +FLAGS.SILENT (\\Deleted)\r\n")
        heard = ""
        while not (line := await hear(client)).startswith("s OK"):
            heard = line
        reached = re.findall(r"MODSEQ \((\d+)", heard)[0]
        away.is_away = True
        client.send(b"a EXPUNGE\r\n")
        await expect(client, f"a OK [HIGHESTMODSEQ {reached}] ...")
        client.send(b"b MOVE 2 Trash\r\n")
        await expect(client, "* OK [COPYUID ...")
        await expect(client, f"b OK [HIGHESTMODSEQ {reached}] ...")
        away.is_away = False
        client.send(b"c NOOP\r\n")
        await expect(client, "* VANISHED 1:2")
        await expect(client, "* 0 RECENT")
        await expect(client, "c OK ...")


async def test_a_process_that_stops_says_bye(store: MemoryStore) -> None:
    """RFC 9051 §7.1.5."""
    connection = MemoryConnection()
    async with dialogues.door(store) as door:
        serving = asyncio.create_task(door.serve(connection))  # type: ignore[arg-type]
        await logged_in(connection)
        door.stopping.set()
        connection.send(b"")
        await expect(connection, "* BYE Server is stopping")
        await serving


async def test_a_login_that_takes_too_long_ends(store: MemoryStore) -> None:
    connection = MemoryConnection()
    async with dialogues.door(store) as door:
        hasty = dataclasses.replace(door, settings=Settings(login_seconds=0.01))
        await door_serves(hasty, connection)
        await expect(connection, "* OK ...")
        await expect(connection, "* BYE Autologout...")


async def test_a_client_that_never_stops_talking_has_no_more_time_to_log_in(store: MemoryStore) -> None:
    """attacks 24: the time runs from the greeting, whatever is said meanwhile."""
    async with dialogues.door(store) as door:
        hasty = dataclasses.replace(door, settings=Settings(login_seconds=0.5))
        async with dialogues.over_socket(hasty) as client:
            clock = asyncio.get_running_loop().time
            started = clock()
            with suppress(ConnectionError):  # what is still being said may cost the client the BYE
                while not (await hear(client)).startswith(("* BYE", "end")):
                    client.send(b"a NOOP\r\n" * 100)
            assert 0.4 < clock() - started < 10


async def test_a_client_that_never_reads_has_no_more_time_to_log_in(store: MemoryStore) -> None:
    """attacks 24: nor where its answers do not leave."""
    connection = Reluctant(100)
    connection.send(b"a CAPABILITY\r\n" * 5000)
    async with dialogues.door(store) as door:
        hasty = dataclasses.replace(door, settings=Settings(login_seconds=0.2))
        await asyncio.wait_for(door_serves(hasty, connection), 10)
    assert connection.is_stuck.is_set()


async def test_who_has_logged_in_stays_for_half_an_hour(store: MemoryStore) -> None:
    """attacks 24, RFC 9051 §5.4: the time to log in is over, and no setting makes the other one shorter."""
    with pytest.raises(ValidationError):
        Settings(idle_seconds=1799)
    async with dialogues.door(store) as door:
        hasty = dataclasses.replace(door, settings=Settings(login_seconds=1.5))
        async with dialogues.over_socket(hasty) as client:
            await logged_in_to(client, "INBOX")
            await asyncio.sleep(1.6)
            client.send(b"a NOOP\r\n")
            await expect(client, "a OK ...")


async def test_idle_says_that_it_is_still_here(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """attacks 24: every two minutes, also while things happen that are not told here."""
    assert idling.STILL_HERE_SECONDS == 120
    monkeypatch.setattr(idling, "STILL_HERE_SECONDS", 0.3)
    account = await store.accounts.find_account("alice@example.org")
    await store.mailboxes.create(account.account_id, "Elsewhere")
    async with dialogues.door(store) as door, dialogues.over_socket(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"i IDLE\r\n")
        await expect(client, "+ ...")

        async def deliver_elsewhere() -> None:
            while True:
                await dialogues.meanwhile(store, "deliver Elsewhere")
                await asyncio.sleep(0.02)

        elsewhere = asyncio.create_task(deliver_elsewhere())
        clock = asyncio.get_running_loop().time
        before = clock()
        for _ in range(3):
            await expect(client, "* OK Still here")
        assert 0.8 < clock() - before < 10
        elsewhere.cancel()
        client.send(b"DONE\r\n")
        await expect(client, "i OK ...")


async def test_an_endless_line_ends_idle(store: MemoryStore) -> None:
    """attacks 16: no command is that long, and what follows could not be told from it."""
    async with dialogues.door(store) as door, dialogues.over_socket(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"i IDLE\r\n")
        await expect(client, "+ ...")
        client.send(b"x" * 1000)
        await expect(client, "* BYE Line too long")
        await expect(client, "end")


async def test_sessions_are_listed_and_can_be_ended(store: MemoryStore) -> None:
    """An operator's view: who is logged in, and which mailbox is selected."""
    await dialogues.add(store, "INBOX", 1)
    async with (
        dialogues.door(store) as door,
        dialogues.in_memory(door) as client,
        dialogues.in_memory(door) as idle,
    ):
        await logged_in_to(client, "INBOX")
        await door.presence.beat()
        (listed,) = await store.sessions.list()
        assert (listed.door, listed.peer, listed.mailbox_id) == ("imap", "127.0.0.1", 1)
        await dialogues.meanwhile(store, "expunge INBOX 1")
        client.send(b"n NOOP\r\n")
        await expect(client, "* 1 EXPUNGE")
        await expect(client, "* 0 RECENT")
        await expect(client, "n OK ...")
        await door.presence.beat()
        (moved,) = await store.sessions.list()
        assert moved.expunged_to > listed.expunged_to
        await logged_in_to(idle, "INBOX")
        idle.send(b"i IDLE\r\n")
        await expect(idle, "+ ...")
        await door.presence.beat()
        for session in await store.sessions.list():
            assert await store.sessions.end(session.session_id)
        await door.presence.beat()
        for each in (client, idle):
            await expect(each, "* BYE The session was ended by an operator")
            await expect(each, "end")
        await door.presence.beat()
        assert await store.sessions.list() == []


async def test_bad_commands_here_and_there_end_no_session(store: MemoryStore) -> None:
    """attacks: a limit that breaks a real client is a bug; some ask for extensions that are not announced, for days."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        for _ in range(50):
            client.send(b"x GETQUOTAROOTS INBOX\r\n" * 5 + b"y NOOP\r\n")
            for _ in range(5):
                await expect(client, "x BAD unknown command")
            await expect(client, "y OK ...")


async def test_twenty_bad_commands_end_a_session(store: MemoryStore) -> None:
    """attacks 16."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"".join(b"x%d FOO\r\n" % number for number in range(25)))
        for number in range(20):
            await expect(client, f"x{number} BAD unknown command")
        await expect(client, "* BYE Too many bad commands")
        await expect(client, "end")
