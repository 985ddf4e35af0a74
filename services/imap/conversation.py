"""The conversation with one client: octets in, commands one after another, answers out. RFC 9051 §5.

The rule: exactly one command runs at a time and each gets exactly one tagged answer, whatever goes wrong in it; what
was pipelined is answered in one write. Between two reads a session is its token, and nothing else that would be missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn
from uuid import UUID

from services.imap import registry
from services.imap.incoming import Ended, Incoming
from services.imap.registry import Command, Row
from services.imap.session.state import Selected, SessionState, State
from services.imap.session.token import Token, resume
from services.imap.session.updates import Updates
from services.imap.session.view import View
from services.imap.session.writer import Writer
from services.mail.errors import MailboxNotFound, MailError, ProtocolError, StoreUnavailable, wording
from services.mail.imap import framing
from services.mail.imap.arguments import Arguments
from services.mail.imap.framing import Framing
from services.mail.imap.numbers import Numbers
from services.mail.imap.responses import Continuation, Response, Status
from services.mail.sasl.mechanisms import offered
from services.mail.store import Store
from services.mail.store.accounts import Account
from services.mail.store.uids import Runs
from services.plumbing import logs
from services.plumbing.net.connection import Connection
from services.plumbing.turns import beside

if TYPE_CHECKING:
    from services.imap.door import Door

log = logs.get(__name__)

BAD_BEFORE_LOGIN: Final = 3
BAD_AFTER_LOGIN: Final = 20  # in a row: clients that ask for what is not announced may stay for days
# What a number takes in a set, at the least that is usual.
OCTETS_OF_A_NUMBER: Final = 4
_CERTAIN: Final = ("LITERAL+",)
_DELETED: Final = "The selected mailbox was deleted"


class Session:
    """What a command may use: the state, the store, and the way to the client.

    framing: finds where a command ends; whoever holds the socket elsewhere may have done so already.
    """

    def __init__(self, door: Door, connection: Connection, framing: Framing | None = None) -> None:
        self.door = door
        self.connection = connection
        self.state = SessionState()
        self.updates = Updates(door.store, self.state)
        self.writer = Writer(connection)
        self.incoming = Incoming(door, connection, framing or Framing(), self.state, self.writer)
        self.tag = b"*"
        self.name = ""
        self._bad = 0
        self._until_login = asyncio.timeout(door.settings.login_seconds)
        self._presence_id: UUID | None = None
        self._told = False  # whether this command has told all news already
        self._says_reach = False  # whether its tagged answer says how far all was told

    # --- what commands ask

    @property
    def store(self) -> Store:
        """The store's port."""
        return self.door.store

    @property
    def account(self) -> Account:
        """Who is logged in; only in the states that have somebody."""
        assert self.state.account is not None
        return self.state.account

    @property
    def selected(self) -> Selected:
        """The selected mailbox; only in that state."""
        assert self.state.selected is not None
        return self.state.selected

    @property
    def view(self) -> View:
        """The selected mailbox as the client knows it."""
        return self.selected.view

    async def uids(self, numbers: Numbers) -> Runs:
        """The uids of a set, as `View.uids`. Raises ProtocolError."""
        return await beside(len(numbers.runs), self.view.uids, numbers)

    @property
    def takes_passwords(self) -> bool:
        """Whether a password may travel on this connection as it is now."""
        connection = self.connection
        return connection.is_tls or connection.is_local or self.door.settings.plain_logins

    def ok(self, text: str, code: str = "") -> Response:
        """The tagged OK."""
        return Status("OK", text, code, self.tag)

    def no(self, text: str, code: str = "") -> Response:
        """A tagged NO that is not a refusal of the store."""
        return Status("NO", text, code, self.tag)

    def select(self, selected: Selected, is_all_told: bool) -> None:
        """Has this mailbox selected. is_all_told: it was read once, just now, and no news stands behind that."""
        self.state.selected = selected
        self._told = is_all_told

    def expunged(self, text: str) -> Response:
        """The tagged OK of what expunged something; with the news before it, it says how far they reach."""
        self._says_reach = True
        return self.ok(text)

    def capabilities(self) -> str:
        """CAPABILITY with what works now. RFC 9051 §7.2.2."""
        words = ["IMAP4rev1", "IMAP4rev2", *_CERTAIN]
        if self.state.account is not None:
            words += registry.capabilities(State.LOGGED_IN)
            words.append(f"APPENDLIMIT={self.door.settings.message_octets}")  # RFC 7889 §2
        else:
            words += registry.capabilities(State.NOT_AUTHENTICATED)
            if not self.connection.has_tls:
                words.remove("STARTTLS")
            if self.takes_passwords:
                words += [
                    f"AUTH={name}"
                    for name in offered(self.connection.end_point, self.door.settings.oauth_issuer)
                ]
            else:
                words.remove("SASL-IR")
                words.append("LOGINDISABLED")
        return "CAPABILITY " + " ".join(words)

    def log_in(self, account: Account) -> bool:
        """Becomes this account's session; False where it has too many."""
        sessions = self.door.sessions
        opened = sessions.get(account.account_id, 0)
        if opened >= self.door.settings.account_connections:
            return False
        sessions[account.account_id] = opened + 1
        self.state.account = account
        self._presence_id = self.door.presence.opened(
            account.account_id, self.connection.peer[0], self.incoming.ask_to_end
        )
        self._bad = 0
        self._until_login.reschedule(None)
        self.incoming.widen(self.door.settings.message_octets)
        logs.bind(account=str(account.account_id))
        return True

    def leave(self) -> None:
        """Forgets the account's session."""
        account, self.state.account = self.state.account, None
        if account is not None and self._presence_id is not None:
            self.door.presence.closed(self._presence_id)
            sessions = self.door.sessions
            sessions[account.account_id] -= 1
            if not sessions[account.account_id]:
                del sessions[account.account_id]

    async def news(self) -> Sequence[Response]:
        """What happened in the selected mailbox, everything. Raises Ended where it was deleted."""
        news = await self._news(tells_expunges=True)
        self._report()
        return news

    async def catch_up(self, tells_expunges: bool) -> Sequence[Response]:
        """The news before a command's own answers; its end then asks no more where all could be told."""
        news = await self._news(tells_expunges)
        self._told = True
        return news

    def break_off(self, reason: str) -> NoReturn:
        """Ends the connection in the middle of an answer that cannot be finished. Raises Ended."""
        log.warning("connection broken off", reason=reason)
        self.connection.abort()
        raise Ended

    async def start_tls(self, answer: Response) -> None:
        """Says the answer in plain text, then forgets what was received and goes over to TLS (CVE-2011-0411)."""
        await self.writer.flush()
        self.incoming.forget()
        await self.connection.start_tls(answer.render())

    # --- from process to process

    def token(self) -> Token | None:
        """What another process needs to go on, whenever the connection is read; None before login."""
        return None if self.state.account is None else Token.of(self.state)

    async def _resume(self, token: Token) -> None:
        """Goes on where the session of this token was left. Raises Ended where that cannot be."""
        try:
            state = await resume(self.store, token, self.door.folders)
        except MailboxNotFound:
            raise Ended(_DELETED) from None
        except MailError as error:
            raise Ended(error.text, wording(error).imap or "") from None
        assert state.account is not None
        if not self.log_in(state.account):
            raise Ended("Too many sessions of this account", "LIMIT")
        self.state.selected, self.state.enabled = state.selected, state.enabled
        self.state.idling = state.idling
        self._report()
        if state.idling:
            await self._run(state.idling + b" IDLE")

    # --- the loop

    async def converse(self, token: Token | None = None) -> None:
        """Greets, or goes on as the session of this token; answers until the end."""
        if token is None and self.connection.buffered():
            log.warning("client talked before the greeting")
        try:
            async with self._until_login:
                if token is None:
                    await self.writer.write(Status("OK", "Restante ready", self.capabilities()))
                else:
                    await self._resume(token)
                while not self.state.is_ending:
                    await self._answer(await self.incoming.event())
        except Ended as end:
            self._say_bye(end.farewell, end.code)
        except TimeoutError:
            self._say_bye("Autologout; idle for too long")
        except ConnectionResetError:
            return
        self.writer.push()

    def _say_bye(self, text: str, code: str = "") -> None:
        if text:
            self.writer.add(Status("BYE", text, code))

    async def _answer(self, event: framing.Event) -> None:
        match event:
            case framing.Continue():
                await self.writer.write(Continuation())
            case framing.Command(octets):
                if octets:
                    await self._run(octets)
            case framing.MessageStart(octets):
                await self._run(octets)
                await self.incoming.pass_message()
            case framing.Refused(tag, text):
                await self._refuse(tag, ProtocolError(text))
            case _:
                raise AssertionError(event)

    async def _run(self, octets: bytes) -> None:
        self.tag, self.name, row = b"*", "", None
        self._told = self._says_reach = False
        started = time.monotonic()
        try:
            row, command = await beside(len(octets) // OCTETS_OF_A_NUMBER, self._read, octets)
            await self._tell(row, command)
            if self.state.account is not None:
                self._bad = 0
        except (Ended, ConnectionResetError, asyncio.CancelledError, TimeoutError):
            raise
        except ProtocolError as error:
            await self._refuse(self.tag, error)
        except MailError as error:
            await self._deny(error, row)
        except Exception:
            log.exception("command failed", command=self.name)
            await self._end(Status("NO", "Internal error, try again later", "SERVERBUG", self.tag))
        self._report()
        log.debug("command done", command=self.name, seconds=round(time.monotonic() - started, 6))

    def _read(self, octets: bytes) -> tuple[Row, Command]:
        args = Arguments(octets)
        args.are_names_utf8 = self.state.is_rev2
        self.tag = args.tag()
        row, self.name = registry.read_verb(args)
        if not row.states & self.state.now:
            wanted = {State.NOT_AUTHENTICATED: "before login", State.SELECTED: "with a mailbox selected"}
            raise ProtocolError(f"{self.name} is allowed only {wanted.get(row.states, 'after login')}")
        command = row.kind.parse(args)
        args.end()
        return row, command

    async def _tell(self, row: Row, command: Command) -> None:
        tells_expunges = row.tells_expunges or self.name.startswith("UID ")
        async for response in command.run(self):
            if isinstance(response, Status) and response.tag == self.tag:
                await self._close(response, row, tells_expunges)
            else:
                await self.writer.write(response)

    async def _close(self, answer: Status, row: Row, tells_expunges: bool) -> None:
        """Says the tagged answer of what was done, behind the news.

        It is said even if the store, or the mailbox, has gone since: else the client would do it twice.
        """
        if row.states & State.SELECTED and not self._told:
            try:
                for news in await self._news(tells_expunges):
                    await self.writer.write(news)
            except StoreUnavailable:
                pass
            except Ended:
                await self._end(answer)
                raise
        if self._says_reach:
            answer = replace(answer, code=self.updates.reached(self.view))
        await self._end(answer)

    async def _end(self, answer: Response) -> None:
        """Says a tagged answer, and in front of it how far all was told, where that is less than it looks."""
        self.state.idling = b""
        if self.state.selected is not None:
            for told in self.updates.held_back(self.view):
                await self.writer.write(told)
        await self.writer.write(answer)

    async def _news(self, tells_expunges: bool) -> Sequence[Response]:
        if self.state.selected is None or self.state.is_ending:
            return ()
        try:
            return await self.updates.catch_up(self.state.selected, tells_expunges)
        except MailboxNotFound:
            raise Ended(_DELETED) from None

    def _report(self) -> None:
        """Lets operators and the sweeper know what is selected, and how far the client was told."""
        if self._presence_id is not None:
            selected = self.state.selected
            key, mark = (selected.mailbox.key.mailbox_id, selected.view.expunged_to) if selected else (0, 0)
            self.door.presence.moved(self._presence_id, key, mark)

    async def _deny(self, error: MailError, row: Row | None) -> None:
        words = wording(error)
        code = words.imap or ""
        if row is not None and row.has_target and words.imap_target:
            code = words.imap_target
        if code == "BAD":
            await self._refuse(self.tag, ProtocolError(error.text))
            return
        if (
            isinstance(error, MailboxNotFound)
            and row is not None
            and row.states is State.SELECTED
            and (not row.has_target or await self._is_deleted())
        ):
            raise Ended(_DELETED)
        await self._end(Status("NO", error.text, code, self.tag))

    async def _is_deleted(self) -> bool:
        """Whether the selected mailbox is what is missing, and not the target of COPY or MOVE."""
        try:
            await self.store.mailboxes.highest_modseq(self.selected.mailbox.key)
        except MailboxNotFound:
            return True
        except StoreUnavailable:
            pass
        return False

    async def _refuse(self, tag: bytes, error: ProtocolError) -> None:
        self._bad += 1
        await self._end(Status("BAD", error.detail, tag=tag))
        if self._bad >= (BAD_BEFORE_LOGIN if self.state.account is None else BAD_AFTER_LOGIN):
            raise Ended("Too many bad commands")
