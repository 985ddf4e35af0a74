"""STORE, COPY, MOVE, EXPUNGE, APPEND: what changes messages.

The rule: whatever is flagged \\Deleted or moved is doomed in the ledger before the command leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tests.faults.stress import names
from tests.faults.stress.ledger import Place, digest
from tests.faults.stress.model import RECENT, Message, Model
from tests.faults.stress.replies import Condition, Fetch, Reply, Tagged, ranges
from tests.faults.stress.requests import OnMessages, Request
from tests.faults.stress.violations import expect

if TYPE_CHECKING:
    from tests.faults.stress.client import Client

DELETED = "\\Deleted"


class StoreFlags(OnMessages):
    """STORE: RFC 9051 §6.4.6. mode: "+", "-" or ""."""

    verb: ClassVar[str] = "STORE"

    def __init__(
        self,
        model: Model,
        targets: Sequence[Message],
        are_uids: bool,
        mode: str,
        flags: frozenset[str],
        is_silent: bool,
    ) -> None:
        super().__init__(model, targets, are_uids)
        self.mode, self.flags, self.is_silent = mode, flags, is_silent
        self.told: dict[Message, list[frozenset[str]]] = {}
        self.forbids_expunge = not are_uids
        self.refusals = frozenset(
            ({"READ-ONLY"} if not model.is_writable else set()) | (set() if are_uids else {"EXPUNGEISSUED"})
        )

    def octets(self) -> bytes:
        item = f"{self.mode}FLAGS{'.SILENT' if self.is_silent else ''}"
        return super().octets() + f" {item} ({' '.join(sorted(self.flags))})".encode()

    def sent(self, client: Client) -> None:
        super().sent(client)
        if DELETED in self.flags and self.mode != "-":
            places = (self.model.place(each) for each in self.targets)
            client.ledger.doomed.update(place for place in places if place is not None)

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Fetch) and (flags := reply.flags()) is not None:
            self.told.setdefault(self.model.messages[reply.number - 1], []).append(flags - {RECENT})

    def _is_it(self, flags: frozenset[str]) -> bool:
        if self.mode == "+":
            return self.flags <= flags
        return not self.flags & flags if self.mode == "-" else self.flags == flags

    def _apply(self, flags: frozenset[str]) -> frozenset[str]:
        if self.mode == "+":
            return flags | self.flags
        return flags - self.flags if self.mode == "-" else self.flags

    def _missing(self) -> list[Message]:
        there = set(self.model.messages)
        return [each for each in self.targets if each in there and each not in self.told]

    def done(self, client: Client, tagged: Tagged) -> None:
        if not self.model.is_writable:
            expect(not client.world.is_ours, "read-only", f"{self.name} after EXAMINE is OK")
            return
        if self.is_silent:
            for message in self._missing():
                if message.flags is not None:
                    message.flags = self._apply(message.flags)
            return
        if not client.world.is_ours:
            return
        self.leave_out(self._missing(), is_told=False)
        wrong = [
            (m.uid, told)
            for m, told in self.told.items()
            if m in self.targets and not any(map(self._is_it, told))
        ]
        expect(not wrong, "STORE", f"{self.name} {self.mode}{sorted(self.flags)} answered {wrong[:5]}")

    def refused(self, client: Client, tagged: Tagged) -> None:
        if not self.model.is_writable:
            return
        if self.is_silent:  # who lives and who is gone is not told
            self.lost(client)
            return
        expect(self._missing(), "EXPUNGEISSUED", f"{self.name} {self.set} passed over nobody")
        self.leave_out(self._missing(), is_told=True)

    def lost(self, client: Client) -> None:
        for message in self.targets:
            if message not in self.told:
                message.flags = None


class Copy(OnMessages):
    """COPY: RFC 9051 §6.4.7, RFC 4315 §3."""

    verb: ClassVar[str] = "COPY"
    is_move: ClassVar[bool] = False

    def __init__(self, model: Model, targets: Sequence[Message], are_uids: bool, mailbox: str) -> None:
        super().__init__(model, targets, are_uids)
        self.mailbox = mailbox
        self.sources = {place for each in targets if (place := model.place(each)) is not None}
        self.code: Sequence[str] = ()
        if mailbox not in names.KEEPERS:
            self.refusals = frozenset({"TRYCREATE"})

    def octets(self) -> bytes:
        return super().octets() + f" {self.mailbox}".encode()

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Condition) and reply.word == "OK" and reply.code[:1] == ["COPYUID"]:
            expect(not self.code, "COPYUID", f"twice during {self.name}")
            self.code = reply.code

    def done(self, client: Client, tagged: Tagged) -> None:
        code = self.code or (tagged.code if tagged.code[:1] == ["COPYUID"] else ())
        copied: set[int] = set()
        if code:
            validity, sources, targets = int(code[1]), ranges(code[2]), ranges(code[3])
            copied = set(sources)
            client.ledger.opened(self.mailbox, validity, self.floor("UIDVALIDITY", self.mailbox))
            self._check(code, sources, targets, self.floor("UIDNEXT", validity))
            for source, target in zip(sources, targets, strict=True):
                client.ledger.placed(Place(validity, target), source=Place(self.model.validity, source))
            client.ledger.rise("UIDNEXT", validity, targets[-1] + 1, 0)
        there = set(self.model.messages)
        missing = [each for each in self.targets if each in there and each.uid not in copied]
        # Nothing at all may be copied by number too, where all of them are gone.
        self.leave_out(missing, is_told=True)
        if self.is_move:
            self._moved(client, copied)

    def _check(self, code: Sequence[str], sources: list[int], targets: list[int], uid_next: int) -> None:
        asked = {place.uid for place in self.sources}
        words = f"{self.name} {self.set} answered {' '.join(code)}"
        expect(len(sources) == len(targets) == len(set(sources)), "COPYUID", words)
        expect(set(sources) <= asked, "COPYUID", words)
        expect(
            targets == sorted(set(targets)) and targets[0] >= uid_next,
            "COPYUID",
            f"{words}, UIDNEXT {uid_next}",
        )

    def _moved(self, client: Client, copied: set[int]) -> None:
        client.ledger.moved.update(Place(self.model.validity, uid) for uid in copied)
        for message in self.model.messages:
            if message.uid in copied:
                message.is_left_out = True

    def lost(self, client: Client) -> None:
        client.ledger.lose(self.is_move, self.mailbox, self.sources)


class Move(Copy):
    """MOVE: RFC 9051 §6.4.8, RFC 6851."""

    verb: ClassVar[str] = "MOVE"
    is_move: ClassVar[bool] = True

    def __init__(self, model: Model, targets: Sequence[Message], are_uids: bool, mailbox: str) -> None:
        super().__init__(model, targets, are_uids, mailbox)
        if not model.is_writable:
            self.refusals |= {"READ-ONLY"}

    def sent(self, client: Client) -> None:
        super().sent(client)
        client.ledger.moving.update(self.sources)

    def done(self, client: Client, tagged: Tagged) -> None:
        expect(self.model.is_writable, "read-only", f"{self.name} after EXAMINE is OK")
        super().done(client, tagged)


class Expunge(Request):
    """EXPUNGE: RFC 9051 §6.4.3."""

    verb: ClassVar[str] = "EXPUNGE"

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.refusals = frozenset() if model.is_writable else frozenset({"READ-ONLY"})

    def done(self, client: Client, tagged: Tagged) -> None:
        is_refusable = client.world.is_ours and not self.model.is_writable
        expect(not is_refusable, "read-only", f"{self.name} after EXAMINE is OK")


class UidExpunge(OnMessages):
    """UID EXPUNGE: RFC 9051 §6.4.9."""

    verb: ClassVar[str] = "EXPUNGE"

    def __init__(self, model: Model, targets: Sequence[Message]) -> None:
        super().__init__(model, targets, are_uids=True)
        self.refusals = frozenset() if model.is_writable else frozenset({"READ-ONLY"})


class Append(Request):
    """APPEND: RFC 9051 §6.3.12. is_synchronizing: waits for `+` before the message."""

    verb: ClassVar[str] = "APPEND"

    def __init__(
        self, mailbox: str, letter: str, octets: bytes, flags: Sequence[str], is_synchronizing: bool
    ) -> None:
        super().__init__()
        self.mailbox, self.letter, self.message, self.flags = mailbox, letter, octets, flags
        self.is_last = self._waits = is_synchronizing
        if mailbox not in names.KEEPERS:
            self.refusals = frozenset({"TRYCREATE"})

    def octets(self) -> bytes:
        head = f"APPEND {self.mailbox} ({' '.join(self.flags)}) {{{len(self.message)}".encode()
        return head + b"}" if self.is_last else head + b"+}\r\n" + self.message

    async def go_on(self, client: Client) -> None:
        expect(self._waits, "+", f"a continuation that {self.name} does not wait for")
        self._waits = False
        await client.write(self.message + b"\r\n")

    def done(self, client: Client, tagged: Tagged) -> None:
        expect(tagged.code[:1] == ["APPENDUID"] and not self._waits, "APPENDUID", f"{self.name}: {tagged}")
        validity, uid = int(tagged.code[1]), int(tagged.code[2])
        client.ledger.opened(self.mailbox, validity, self.floor("UIDVALIDITY", self.mailbox))
        expect(uid >= self.floor("UIDNEXT", validity), "APPENDUID", f"{uid} of {validity} is below UIDNEXT")
        client.ledger.rise("UIDNEXT", validity, uid + 1, 0)
        place = Place(validity, uid)
        client.ledger.placed(place, self.letter)
        client.ledger.same(place, "BODY[]", digest(self.message))
        client.ledger.same(place, "RFC822.SIZE", str(len(self.message)))

    def lost(self, client: Client) -> None:
        client.ledger.perhaps.add(self.letter)
