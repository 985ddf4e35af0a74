"""One session's selected mailbox, built only of what the server told, and the rules that each reply is held against.

The rule: a reply changes the model only after it was found right.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final, Protocol

from tests.faults.stress.ledger import Ledger, Place, digest, name_in
from tests.faults.stress.replies import Fetch, Search, Vanished
from tests.faults.stress.violations import expect

RECENT: Final = "\\Recent"
# What never changes, by the name that it is kept under.
CONSTANT: Final = {
    "RFC822": "BODY[]",
    "RFC822.HEADER": "BODY[HEADER]",
    "RFC822.TEXT": "BODY[TEXT]",
    "RFC822.SIZE": "RFC822.SIZE",
    "INTERNALDATE": "INTERNALDATE",
    "ENVELOPE": "ENVELOPE",
    "BODYSTRUCTURE": "BODYSTRUCTURE",
    "BODY": "BODY",
}
_NAMED: Final = ("BODY[]", "BODY[HEADER]", "BODY[HEADER.FIELDS (X-STRESS)]")


class Ongoing(Protocol):
    """What the model asks of a command that was sent and not answered."""

    @property
    def name(self) -> str: ...

    @property
    def forbids_expunge(self) -> bool: ...


class Message:
    """One sequence number. None is what was not told. is_left_out: an answer passed over it, so it must be gone."""

    __slots__ = ("flags", "is_left_out", "is_new", "modseq", "uid")

    def __init__(self, is_new: bool) -> None:
        self.uid: int | None = None
        self.flags: frozenset[str] | None = None
        self.modseq = 0
        self.is_new = is_new
        self.is_left_out = False


class Model:
    """A mailbox as its client knows it. session: who this is, for \\Recent."""

    def __init__(self, name: str, is_writable: bool, ledger: Ledger, session: str) -> None:
        self.name = name
        self.is_writable = is_writable
        self.ledger = ledger
        self.session = session
        self.validity = 0
        self.uid_next = 0
        self.highest_modseq = 0  # up to which everything was told: where QRESYNC may take up again
        self.modseq_told = 0
        self.vanished_earlier: set[int] = set()
        self.vanished_now: set[int] = set()
        self.messages: list[Message] = []
        self.count_told: int | None = None
        self.deletions = 0  # DELETEs of any mailbox, answered before this one was opened

    # --- what it knows

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self.messages)

    @property
    def known(self) -> list[Message]:
        """Those whose uid was told."""
        return [each for each in self.messages if each.uid is not None]

    @property
    def first_unknown(self) -> int:
        """The first number without uid or flags; 0 for none."""
        return next(
            (n for n, each in enumerate(self.messages, 1) if each.uid is None or each.flags is None), 0
        )

    def place(self, message: Message) -> Place | None:
        """Where it is, forever."""
        return None if message.uid is None else Place(self.validity, message.uid)

    def may_have(self, uid: int) -> bool:
        """Whether a uid was told, or could be that of a message whose uid was not."""
        return any(each.uid == uid for each in self.messages) or self._gap(uid) is not None

    def _gap(self, uid: int) -> int | None:
        """Where the first message stands that has no told uid and may have this one."""
        after, gap = 0, None
        for place, message in enumerate(self.messages):
            if message.uid is None:
                gap = place if gap is None else gap
                continue
            if message.uid > uid:
                return gap
            after, gap = message.uid, None
        return gap if after < uid else None

    # --- what it is told

    def exists(self, count: int) -> None:
        """RFC 9051 §7.4.1: the count falls by EXPUNGE alone."""
        expect(count >= self.count, "EXISTS falls", f"{count} EXISTS, and {self.count} were told")
        # SELECT may tell of messages that came while it ran: those have come after its UIDNEXT.
        is_new = self.count_told is not None
        self.messages += [Message(is_new) for _ in range(count - self.count)]
        self.count_told = count

    def recent(self, count: int) -> None:
        """RFC 3501 §7.3.2."""
        expect(count <= self.count, "RECENT", f"{count} RECENT of {self.count}")

    def expunge(self, number: int, ongoing: Sequence[Ongoing]) -> None:
        """RFC 9051 §7.5.1."""
        self._may_expunge(f"{number} EXPUNGE", ongoing)
        expect(1 <= number <= self.count, "no such number", f"{number} EXPUNGE of {self.count}")
        self._remove(self.messages[number - 1])

    def vanished(self, reply: Vanished, ongoing: Sequence[Ongoing]) -> None:
        """RFC 7162 §3.2.10: the same as EXPUNGE, by uid; EARLIER is no news, but an answer."""
        if reply.is_earlier:
            self.vanished_earlier.update(reply.uids)
            return
        self.vanished_now.update(reply.uids)
        self._may_expunge(f"VANISHED {list(reply.uids)[:20]}", ongoing)
        for uid in reply.uids:
            found = next((each for each in self.messages if each.uid == uid), None) or self._unknown_at(uid)
            expect(found is not None, "no such uid", f"VANISHED {uid}, which was never told")
            if found is not None:
                found.uid = uid
                self._remove(found)

    def told_highest(self, modseq: int) -> None:
        """HIGHESTMODSEQ, which takes precedence over what FETCH said. RFC 7162 §6."""
        expect(
            modseq >= self.highest_modseq,
            "goes back",
            f"HIGHESTMODSEQ {modseq}, and was {self.highest_modseq}",
        )
        self.highest_modseq, self.modseq_told = modseq, 0

    def completed(self) -> None:
        """A command has ended without HIGHESTMODSEQ: everything up to the last MODSEQ was told. RFC 7162 §6."""
        self.highest_modseq = max(self.highest_modseq, self.modseq_told)
        self.modseq_told = 0

    def _unknown_at(self, uid: int) -> Message | None:
        """A message without a told uid that may have this one; which one of several is not known."""
        gap = self._gap(uid)
        if gap is None:
            return None
        unknown = list(takewhile(lambda message: message.uid is None, self.messages[gap:]))
        for message in unknown:
            message.flags = None
        fitting = [message for message in unknown if message.is_new == (uid >= self.uid_next)]
        return max(fitting, key=lambda message: message.is_left_out, default=None)

    def _may_expunge(self, what: str, ongoing: Sequence[Ongoing]) -> None:
        expect(ongoing, "EXPUNGE between commands", f"{what} while no command is in progress")
        guilty = [each.name for each in ongoing if each.forbids_expunge]
        expect(not guilty, "EXPUNGE during", f"{what} during {', '.join(guilty)}")

    def _remove(self, message: Message) -> None:
        self.messages.remove(message)
        if (place := self.place(message)) is not None:
            self.ledger.gone(place, self.session)

    def fetch(self, reply: Fetch) -> Message:
        """Number, uid and flags, and what never changes. Answers the message that this is about."""
        expect(1 <= reply.number <= self.count, "no such number", f"{reply.number} FETCH of {self.count}")
        message = self.messages[reply.number - 1]
        uid = reply.integer("UID")
        if uid is not None:
            self._numbered(reply.number, message, uid)
        flags, modseq, place = reply.flags(), reply.integer("MODSEQ"), self.place(message)
        if modseq is not None:
            expect(
                modseq >= message.modseq, "goes back", f"MODSEQ {modseq} of {place}, and was {message.modseq}"
            )
            message.modseq = modseq
            self.modseq_told = max(self.modseq_told, modseq)
        if flags is not None:
            if RECENT in flags and place is not None and self.is_writable:
                self.ledger.recent(place, self.session)
            message.flags = flags - {RECENT}
            if modseq is not None and place is not None:
                self.ledger.flagged(place, modseq, message.flags)
        if place is not None:
            self._constant(place, reply)
        return message

    def _numbered(self, number: int, message: Message, uid: int) -> None:
        """The uid of a number never changes, and uids rise with the numbers. RFC 9051 §2.3.1.1."""
        if message.uid is not None:
            expect(
                message.uid == uid, "number and uid", f"number {number} was uid {message.uid} and is {uid}"
            )
            return
        for step, others in ((-1, range(number - 2, -1, -1)), (1, range(number, self.count))):
            near = next((place for place in others if self.messages[place].uid is not None), None)
            if near is not None:
                other, apart = self.messages[near].uid or 0, abs(near - number + 1)
                rises = (uid - other) * -step >= apart
                expect(rises, "uids rise", f"number {number} is uid {uid}, number {near + 1} is {other}")
        expect(uid > number - 1, "uids rise", f"number {number} is uid {uid}")
        if message.is_new:
            expect(uid >= self.uid_next, "UIDNEXT", f"uid {uid} came after UIDNEXT {self.uid_next} was told")
        else:
            expect(
                uid < self.uid_next,
                "UIDNEXT",
                f"uid {uid} was there at SELECT, which said UIDNEXT {self.uid_next}",
            )
        gone = self.ledger.expunged.get(Place(self.validity, uid), "")
        expect(gone != self.session, "expunged comes back", f"uid {uid} was told to be expunged")
        message.uid = uid

    def _constant(self, place: Place, reply: Fetch) -> None:
        for key, (value, spelled) in reply.items.items():
            item = CONSTANT.get(key, key if key.startswith("BODY[") else "")
            if not item:
                continue
            octets = value if isinstance(value, bytes) else spelled
            if self.ledger.makes_up and (value is None or len(octets) <= 3 or octets.startswith(b"((NIL")):
                continue
            if item == "BODY[]":
                self.ledger.same(place, "RFC822.SIZE", str(len(octets)))
            if item in _NAMED and (name := name_in(octets)):
                self.ledger.identify(place, name)
                if item == "BODY[]":
                    self.ledger.carried(place, name, octets)
            self.ledger.same(place, item, octets.decode() if item == "RFC822.SIZE" else digest(octets))

    def search(self, reply: Search, are_uids: bool) -> None:
        """What is found is there. RFC 9051 §6.4.4."""
        expect(len(set(reply.found)) == len(reply.found), "SEARCH twice", f"{list(reply.found)}")
        if not are_uids:
            beyond = [number for number in reply.found if not 1 <= number <= self.count]
            expect(not beyond, "no such number", f"SEARCH found {beyond[:20]} of {self.count}")
            return
        told = {message.uid for message in self.messages}
        strange = [uid for uid in reply.found if uid not in told and self._gap(uid) is None]
        expect(not strange, "no such uid", f"UID SEARCH found {strange[:20]}, which were never told")

    def synchronized(self) -> None:
        """NOOP has told everything: what an earlier answer passed over is gone now. RFC 9051 §6.1.2."""
        still = [(n, each.uid) for n, each in enumerate(self.messages, 1) if each.is_left_out]
        expect(
            not still,
            "left out",
            f"(number, uid) {still[:20]} were left out of an answer and are still there",
        )
