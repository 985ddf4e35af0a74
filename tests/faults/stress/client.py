"""One client: a connection, a model of what it was told, and the commands it has sent.

The rule: every reply passes through `take`, in order, and whatever is wrong with it ends this connection.
"""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Awaitable, Sequence
from contextlib import suppress

from tests.faults.stress import choices, leaving
from tests.faults.stress.ledger import Ledger
from tests.faults.stress.model import Model
from tests.faults.stress.names import KEEPERS, is_perishable
from tests.faults.stress.reading import FetchMessages, Noop
from tests.faults.stress.remembering import Remembered, remember
from tests.faults.stress.replies import (
    Condition,
    Continuation,
    Exists,
    Expunge,
    Fetch,
    Recent,
    Reply,
    Search,
    Tagged,
    Vanished,
)
from tests.faults.stress.requests import Request
from tests.faults.stress.violations import Violation, expect
from tests.faults.stress.wire import Gone, Wire
from tests.faults.stress.world import User, World

PATIENCE = 60.0
PAUSE = 0.3
LEAVING = 0.03
RETRY = 0.1


class Client:
    """One of many. random: what it decides by; done: commands answered with OK or NO, by name."""

    def __init__(self, number: int, world: World, user: User, seed: str) -> None:
        self.number, self.world, self.user = number, world, user
        self.random = random.Random(f"{seed}/{number}")
        self.ledger: Ledger = user.ledger
        self.model: Model | None = None
        self.inflight: deque[Request] = deque()
        self.capabilities: frozenset[str] = frozenset()
        self.wire: Wire | None = None
        self.done: Counter[str] = Counter()
        self.letters = 0
        # Every third speaks plain IMAP, one CONDSTORE and one QRESYNC.
        self.extension = ("", "CONDSTORE", "QRESYNC")[number % 3]
        self.remembered: dict[str, Remembered] = {}
        self.returning = ""  # the mailbox that is opened again next
        self.last: Request | None = None  # what was answered last
        self._tags = self._sessions = self._connections = 0

    def next_session(self) -> str:
        """A name for what is opened now."""
        self._sessions += 1
        return f"client {self.number} connection {self._connections} session {self._sessions}"

    def next_letter(self) -> str:
        """A name for a letter."""
        self.letters += 1
        return f"{self.user.login}/{self.number}.{self.letters}"

    # --- what it does

    async def work(self, until: float) -> None:
        """Random commands until a time of the loop's clock."""
        while asyncio.get_running_loop().time() < until and not self.world.is_over:
            await self.survive(self._step(until))

    async def settle(self) -> None:
        """Hears all news, and learns uids and flags that it was not told, until nothing is unknown."""
        for _ in range(20):
            if await self.survive(self._catch_up()) or self.world.is_over:
                return

    async def _catch_up(self) -> bool:
        await self.connected()
        if self.model is None:
            return True
        await self.perform([Noop()])
        model = self.model
        if not model.first_unknown:
            return True
        unknown = [each for each in model.messages if each.uid is None or each.flags is None]
        await self.perform([FetchMessages(model, unknown, are_uids=False)])
        return False

    async def _step(self, until: float) -> bool:
        await self.connected()
        step = random.Random(self.random.getrandbits(64))
        if step.random() < 0.12:
            await choices.deliver(self, step)
        if step.random() < LEAVING:
            await leaving.go(self, step)
            return asyncio.get_running_loop().time() >= until
        await self.perform(choices.choose(self, step))
        if step.random() < PAUSE:
            await self.listen(step.random() * 0.1)
        return asyncio.get_running_loop().time() >= until

    async def survive(self, doing: Awaitable[bool]) -> bool:
        """Runs a step; what ends the connection is noted, and the next step opens another."""
        try:
            return await doing
        except Gone as gone:
            self._ended(gone)
        except Violation as violation:
            self._report(violation)
        return False

    def _ended(self, gone: Gone) -> None:
        is_excused = not self.world.is_ours and self.model is not None and self._is_gone(self.model)
        if self.wire is None or self.world.is_rough or is_excused:
            self.done["(connection lost)"] += self.wire is not None
            self.drop()
            return
        words = ", ".join(each.name for each in self.inflight) or "nothing"
        self._report(Violation("closed", f"{gone}, with {words} under way"))

    def _report(self, violation: Violation) -> None:
        violation.who = f"client {self.number} ({self.user.login})"
        violation.wire = self.wire.log if self.wire else ()
        self.world.report(violation)
        self.drop()

    def drop(self) -> None:
        """Leaves at once: what was sent may or may not have happened."""
        if self.wire is not None:
            self.wire.abort()
        inflight, self.inflight = self.inflight, deque()
        for request in inflight:
            request.lost(self)
        self.put_away()
        self.wire = None

    # --- the conversation

    async def connected(self) -> None:
        """Connects and logs in where it is not. Raises Gone, Violation."""
        if self.wire is not None:
            return
        self._connections += 1
        try:
            self.wire = await Wire.open(self.world.port(self.random))
        except Gone:
            await asyncio.sleep(RETRY)
            raise
        greeting = await self.wire.reply(PATIENCE)
        expect(isinstance(greeting, Condition) and greeting.word == "OK", "greeting", f"{greeting}")
        code = await self._plainly(self._login())
        self.capabilities = frozenset(code[1:] if code[:1] == ["CAPABILITY"] else ())
        expect("IMAP4rev1" in self.capabilities, "CAPABILITY", f"after LOGIN: {code}")
        if self.extension and self.extension in self.capabilities:
            await self._plainly(f"ENABLE {self.extension}")

    def _login(self) -> str:
        """LOGIN and AUTHENTICATE by turns. RFC 4616, RFC 4959."""
        if self._connections % 2:
            return f"LOGIN {self.user.login} {self.user.password}"
        plain = f"\0{self.user.login}\0{self.user.password}"
        return f"AUTHENTICATE PLAIN {b64encode(plain.encode()).decode()}"

    @property
    def tells_modseqs(self) -> bool:
        """Whether CONDSTORE is on."""
        return bool(self.extension) and self.extension in self.capabilities

    @property
    def tells_vanished(self) -> bool:
        """Whether QRESYNC is on."""
        return self.extension == "QRESYNC" and self.tells_modseqs

    def put_away(self) -> None:
        """Leaves the mailbox, and remembers it."""
        model, self.model = self.model, None
        if model is not None and (remembered := remember(model)) is not None:
            self.remembered[model.name] = remembered

    async def _plainly(self, words: str) -> Sequence[str]:
        """A command outside the stress; answers its code. Raises Violation unless it is OK."""
        verb = words.partition(" ")[0]
        await self.write(f"{self._tag()} {words}\r\n".encode())
        while (reply := await self._next(PATIENCE)) is not None:
            if isinstance(reply, Tagged):
                if reply.word == "NO" and self.world.is_rough:
                    raise Gone("refused while copies come and go")
                expect(reply.word == "OK", "refused", f"{verb}: {reply}")
                return reply.code
        raise Violation("silence", f"no answer to {verb}")

    def _tag(self) -> str:
        self._tags += 1
        return f"t{self._tags}"

    async def write(self, octets: bytes) -> None:
        """Sends octets. Raises Gone."""
        if self.wire is None:
            raise Gone("not connected")
        await self.wire.write(octets)

    async def _next(self, seconds: float) -> Reply | None:
        if self.wire is None:
            raise Gone("not connected")
        return await self.wire.reply(seconds)

    async def perform(self, requests: Sequence[Request]) -> None:
        """Sends commands in one write, and hears them out. Raises Gone, Violation."""
        octets = bytearray()
        for request in requests:
            request.tag = self._tag()
            request.sent(self)
            self.inflight.append(request)
            octets += request.tag.encode() + b" " + request.octets() + b"\r\n"
        await self.write(bytes(octets))
        while self.inflight:
            reply = await self._next(PATIENCE)
            if reply is None:
                raise Violation("silence", f"no answer to {self.inflight[0].name} for {PATIENCE} s")
            await self.hear(reply)

    async def listen(self, seconds: float) -> None:
        """Takes what comes for a while. Raises Gone, Violation."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            reply = await self._next(left)
            if reply is not None:
                await self.hear(reply)

    async def hear(self, reply: Reply) -> None:
        """Takes one reply, a continuation too. Raises Gone, Violation."""
        if isinstance(reply, Continuation):
            expect(self.inflight, "+", "a continuation with no command in progress")
            await self.inflight[0].go_on(self)
        else:
            self.take(reply)

    def take(self, reply: Reply) -> None:
        """Holds one reply against the rules. Raises Violation, and Gone for an expected BYE."""
        if isinstance(reply, Tagged):
            self._end(reply)
            return
        if isinstance(reply, Condition) and reply.word == "BYE":
            self._bye(reply)
        current = self.inflight[0] if self.inflight else None
        if current is not None:
            current.before(self, reply)
        if isinstance(reply, Exists | Recent | Expunge | Vanished | Fetch):
            if self.model is None:
                raise Violation("not selected", f"{reply}")
            self._tell(self.model, reply)
        elif isinstance(reply, Search):
            expect(current is not None and current.verb == "SEARCH", "SEARCH", f"unasked: {reply}")
        elif isinstance(reply, Condition):
            expect(reply.word == "OK", "untagged", f"{reply}")
            if self.model is not None and reply.code[:1] == ["HIGHESTMODSEQ"]:
                self.model.told_highest(int(reply.code[1]))
        if current is not None:
            current.heard(self, reply)

    def _tell(self, model: Model, reply: Reply) -> None:
        self._check_extensions(reply)
        match reply:
            case Exists(count):
                model.exists(count)
            case Recent(count):
                model.recent(count)
            case Expunge(number):
                model.expunge(number, self.inflight)
            case Vanished():
                model.vanished(reply, self.inflight)
            case Fetch():
                model.fetch(reply)
            case _:
                raise AssertionError(reply)

    def _check_extensions(self, reply: Reply) -> None:
        """RFC 7162 §3.1.1: changes come with MODSEQ; §3.2.10: VANISHED stands for EXPUNGE."""
        if isinstance(reply, Expunge):
            expect(not self.tells_vanished, "EXPUNGE with QRESYNC", f"{reply}")
        elif isinstance(reply, Vanished):
            expect(self.tells_vanished, "VANISHED without QRESYNC", f"{reply}")
            expect(not reply.is_earlier or self.inflight, "VANISHED", f"(EARLIER) between commands: {reply}")
        elif isinstance(reply, Fetch) and self.tells_modseqs and "FLAGS" in reply.items:
            is_asked = any(each.verb == "FETCH" for each in self.inflight)
            expect("MODSEQ" in reply.items or is_asked, "MODSEQ", f"without one: {reply}")

    def _end(self, tagged: Tagged) -> None:
        if not self.inflight or self.inflight[0].tag != tagged.tag:
            raise Violation("tag", f"{tagged} while {[each.name for each in self.inflight]} are under way")
        request = self.inflight[0]
        if self.model is not None and tagged.code[:1] == ["HIGHESTMODSEQ"]:
            self.model.told_highest(int(tagged.code[1]))
        code = tagged.code[0] if tagged.code else ""
        if tagged.word == "OK":
            request.done(self, tagged)
        elif tagged.word == "NO" and self._is_expected(request, code):
            request.refused(self, tagged)
        elif tagged.word == "NO" and code == "UNAVAILABLE" and self.world.is_rough:
            request.lost(self)
        else:
            raise Violation("refused", f"{request.name} {request.octets()[:100]!r}: {tagged}")
        self.inflight.popleft()
        self.last = request
        if self.model is not None:
            self.model.completed()
        self._count(request, tagged)

    def _is_expected(self, request: Request, code: str) -> bool:
        if code in request.refusals:
            return True
        if self.world.is_ours:
            return False
        is_gone = self.model is not None and self._is_gone(self.model)
        return is_gone or code == "EXPUNGEISSUED" or (not code and bool(request.refusals))

    def _count(self, request: Request, tagged: Tagged) -> None:
        words = request.name.split()[1:]
        name = " ".join(words[: 2 if words[0] == "UID" else 1])
        self.done[f"{name} {(*tagged.code, 'NO')[0]}" if tagged.word == "NO" else name] += 1

    def _bye(self, reply: Condition) -> None:
        """A mailbox that was deleted elsewhere ends its sessions; nothing else does, unless copies are stopped."""
        model = self.model
        is_deleted = model is not None and self._is_gone(model)
        expect(is_deleted or self.world.is_rough, "BYE", f"{reply}")
        self.drop()
        raise Gone("said BYE")

    def _is_gone(self, model: Model) -> bool:
        """Whether somebody may have deleted this mailbox since it was opened."""
        if not self.world.is_ours:
            return model.name not in KEEPERS
        return is_perishable(model.name) and self.ledger.deletions > model.deletions

    async def log_out(self) -> None:
        """LOGOUT: BYE, then OK, then the end. RFC 9051 §6.1.3. Raises Gone, Violation."""
        tag = self._tag()
        await self.write(f"{tag} LOGOUT\r\n".encode())
        while not (isinstance(reply := await self._next(PATIENCE), Condition) and reply.word == "BYE"):
            if reply is None:
                raise Violation("silence", "no answer to LOGOUT")
            self.take(reply)
        is_excused = self.world.is_rough or (self.model is not None and self._is_gone(self.model))
        told: list[Reply | None] = []
        with suppress(Gone):
            while len(told) < 2:
                told.append(await self._next(PATIENCE))
        is_right = (
            len(told) == 1 and isinstance(told[0], Tagged) and (told[0].tag, told[0].word) == (tag, "OK")
        )
        expect(is_right or is_excused, "LOGOUT", f"after BYE: {told}")
        self.drop()

    async def leave(self) -> None:
        """Logs out, without hearing it out."""
        if self.wire is not None:
            with suppress(Gone, Violation):
                await self.write(b"bye LOGOUT\r\n")
        self.drop()
