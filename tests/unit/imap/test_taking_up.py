"""Sessions that one process begins and another one ends. The store is in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from services.imap.conversation import Session
from services.imap.door import Door
from services.imap.session.token import Token
from services.mail.errors import AccountDisabled, wording
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import MemoryConnection, expect
from tests.unit.imap.sessions import logged_in


class Process:
    """One of those that take sessions up. connection: the way to the client of the session that it has."""

    def __init__(self, door: Door, token: Token | None = None) -> None:
        self.connection = MemoryConnection()
        self.session = Session(door, self.connection)  # type: ignore[arg-type]
        self._running = asyncio.create_task(self._run(token))

    async def _run(self, token: Token | None) -> None:
        await self.session.converse(token)
        self.connection.end()

    async def let_go(self) -> Token:
        """Hears no more, and answers what is left."""
        self.connection.send(b"")
        await self._running
        token = self.session.token()
        assert token is not None
        self.session.leave()
        return Token.decode(token.encode())


@asynccontextmanager
async def begun(store: MemoryStore) -> AsyncIterator[tuple[Door, Token]]:
    """A session with INBOX selected, that was let go."""
    async with dialogues.door(store) as door:
        first = Process(door)
        await logged_in(first.connection)
        yield door, await first.let_go()


async def test_idle_is_begun_here_and_ended_there(store: MemoryStore) -> None:
    """RFC 2177: the client hears one continuation, all news once, and its tag."""
    async with begun(store) as (door, token):
        one = Process(door, token)
        one.connection.send(b"i IDLE\r\n")
        await expect(one.connection, "+ ...")
        await dialogues.meanwhile(store, "deliver INBOX")
        await expect(one.connection, "* 1 EXISTS")
        await expect(one.connection, "* 1 RECENT")
        left = await one.let_go()
        await dialogues.meanwhile(store, "deliver INBOX")
        two = Process(door, left)
        await expect(two.connection, "* 2 EXISTS")
        await expect(two.connection, "* 2 RECENT")
        two.connection.send(b"DONE\r\nn NOOP\r\n")
        await expect(two.connection, "i OK IDLE completed")
        await expect(two.connection, "n OK NOOP completed")
        assert not (await two.let_go()).idling


async def test_an_idle_that_ends_wrongly_is_over(store: MemoryStore) -> None:
    """RFC 9051 §6.3.13: the next IDLE is told that it may begin."""
    async with begun(store) as (door, token):
        one = Process(door, token)
        one.connection.send(b"i IDLE\r\nGONE\r\ni IDLE\r\n")
        for line in ("+ ...", "i BAD ...", "+ ..."):
            await expect(one.connection, line)
        assert (await one.let_go()).idling == "i"


async def test_a_session_that_cannot_be_taken_up_is_told_so(store: MemoryStore) -> None:
    """BYE says why. RFC 9051 §7.1.5."""
    async with begun(store) as (door, token):
        assert token.told is not None
        gone = replace(token, told=replace(token.told, mailbox_id=99))
        await expect(Process(door, gone).connection, "* BYE The selected mailbox was deleted")
        door.sessions[token.account_id] = door.settings.account_connections
        await expect(Process(door, token).connection, "* BYE [LIMIT] ...")
        await store.accounts.set_enabled(token.account_id, False)
        code = wording(AccountDisabled()).imap
        await expect(Process(door, token).connection, f"* BYE [{code}] ...")


async def test_before_login_there_is_no_token(store: MemoryStore) -> None:
    """Whoever is nobody yet begins again."""
    async with dialogues.door(store) as door:
        assert Session(door, MemoryConnection()).token() is None  # type: ignore[arg-type]
