"""What a session makes of commands, refusals and bugs. The store is in memory."""

import dataclasses
import inspect
from typing import Any
from uuid import UUID

from services.mail.store import Store
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import expect, hear
from tests.unit.imap.sessions import Watched, logged_in_to


async def test_what_would_be_there_twice_has_a_request_id(store: MemoryStore) -> None:
    """APPEND, COPY and CREATE are sent again where a copy of storage dies: each once, whatever happened."""
    ids: list[UUID | None] = []

    class Noting:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            wanted = getattr(self._inner, name)
            if name not in ("append", "copy", "create"):
                return wanted

            async def noted(*args: Any, **named: Any) -> Any:
                ids.append(inspect.signature(wanted).bind(*args, **named).arguments.get("request_id"))
                return await wanted(*args, **named)

            return noted

    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    parts |= {"messages": Noting(store.messages), "mailboxes": Noting(store.mailboxes)}
    async with dialogues.door(Store(**parts)) as door, dialogues.in_memory(door) as client:  # type: ignore[arg-type]
        await logged_in_to(client, "INBOX")
        client.send(b"a CREATE Work\r\nb APPEND INBOX {8+}\r\na: b\r\n\r\n\r\nc COPY 1 Work\r\n")
        for tag in "abc":
            while not (line := await hear(client)).startswith(tag):
                continue
            assert line.startswith(f"{tag} OK"), line
    assert len(ids) == len(set(ids) - {None}) == 3


async def test_a_date_before_1970_is_kept(store: MemoryStore) -> None:
    """Clients copy such dates from other servers. RFC 9051 §6.3.12."""
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(
            b'a APPEND INBOX "01-Jan-1960 00:00:00 +0100" {8+}\r\na: b\r\n\r\n\r\nb FETCH 1 INTERNALDATE\r\n'
        )
        while (line := await hear(client)).startswith("* ") and "INTERNALDATE" not in line:
            continue
        assert line.startswith("a OK"), line
        await expect(client, '* 1 FETCH (INTERNALDATE "31-Dec-1959 23:00:00 +0000")')


async def test_a_date_beyond_9999_hides_no_message(store: MemoryStore) -> None:
    """RFC 9051 §9, date-year has four digits; a program may have given any number of seconds."""
    account = await store.accounts.find_account("alice@example.org")
    mailbox, _ = await store.mailboxes.status(account.account_id, "INBOX")
    await store.messages.append(mailbox.key, b"a: b\r\n\r\n", 8, internal_at=2**40 - 1)
    async with dialogues.door(store) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"a FETCH 1:* INTERNALDATE\r\n")
        await expect(client, '* 1 FETCH (INTERNALDATE "31-Dec-9999 00:36:15 +0000")')
        await expect(client, "a OK ...")


async def test_a_bug_is_told_as_one_and_the_session_goes_on(store: MemoryStore) -> None:
    """RFC 5530 §3, SERVERBUG."""

    class Broken(Watched):
        async def store(self, *_: object) -> None:
            raise RuntimeError("a bug")

    parts = {part.name: getattr(store, part.name) for part in dataclasses.fields(Store)}
    await dialogues.add(store, "INBOX", 1)
    broken: Any = Store(**{**parts, "messages": Broken(store.messages)})
    async with dialogues.door(broken) as door, dialogues.in_memory(door) as client:
        await logged_in_to(client, "INBOX")
        client.send(b"a STORE 1 +FLAGS (\\Seen)\r\nb NOOP\r\n")
        await expect(client, "a NO [SERVERBUG] Internal error, try again later")
        await expect(client, "b OK ...")


async def test_a_silent_store_is_news_for_others_only(store: MemoryStore) -> None:
    """One session's silent STORE is another one's news, and not its own. RFC 9051 §6.4.6."""
    await dialogues.add(store, "INBOX", 1)
    async with (
        dialogues.door(store) as door,
        dialogues.in_memory(door) as one,
        dialogues.in_memory(door) as two,
    ):
        await logged_in_to(one, "INBOX")
        await logged_in_to(two, "INBOX")
        one.send(b"a STORE 1 +FLAGS.SILENT (\\Seen)\r\nb NOOP\r\n")
        await expect(one, "a OK ...")
        await expect(one, "b OK ...")
        two.send(b"c NOOP\r\n")
        await expect(two, "* 1 FETCH (UID 1 FLAGS (\\Seen))")
        await expect(two, "c OK ...")
