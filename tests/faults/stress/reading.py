"""FETCH, SEARCH, STATUS, NOOP, CHECK, IDLE, LIST: what changes nothing, \\Seen apart.

The rule: what an answer passes over is noted, and must be gone by the next NOOP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tests.faults.stress import names
from tests.faults.stress.model import Message, Model
from tests.faults.stress.replies import Condition, Counters, Fetch, Listed, Reply, Search, Tagged, Vanished
from tests.faults.stress.requests import OnMessages, Request
from tests.faults.stress.violations import Violation, expect

if TYPE_CHECKING:
    from tests.faults.stress.client import Client

# What is asked, and what must come.
ITEMS: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (asked, frozenset(told.split(" / ")))
    for asked, told in (
        ("FLAGS", "FLAGS"),
        ("(UID FLAGS)", "UID / FLAGS"),
        ("(FLAGS UID RFC822.SIZE)", "UID / FLAGS / RFC822.SIZE"),
        ("ALL", "FLAGS / INTERNALDATE / RFC822.SIZE / ENVELOPE"),
        ("FAST", "FLAGS / INTERNALDATE / RFC822.SIZE"),
        ("FULL", "FLAGS / INTERNALDATE / RFC822.SIZE / ENVELOPE / BODY"),
        ("UID", "UID"),
        ("ENVELOPE", "ENVELOPE"),
        ("(INTERNALDATE BODYSTRUCTURE)", "INTERNALDATE / BODYSTRUCTURE"),
        ("BODY.PEEK[]", "BODY[]"),
        ("(UID BODY[])", "UID / BODY[]"),
        ("RFC822", "RFC822"),
        ("RFC822.HEADER", "RFC822.HEADER"),
        ("BODY.PEEK[HEADER]", "BODY[HEADER]"),
        ("BODY[TEXT]", "BODY[TEXT]"),
        ("(UID BODY.PEEK[HEADER.FIELDS (X-STRESS)])", "UID / BODY[HEADER.FIELDS (X-STRESS)]"),
        ("BODY.PEEK[]<0.64>", "BODY[]<0>"),
        ("(BODY.PEEK[1] FLAGS)", "BODY[1] / FLAGS"),
    )
)
UID_FLAGS = ITEMS[1]


class FetchMessages(OnMessages):
    """FETCH: RFC 9051 §6.4.5."""

    verb: ClassVar[str] = "FETCH"

    def __init__(
        self,
        model: Model,
        targets: Sequence[Message],
        are_uids: bool,
        items: tuple[str, frozenset[str]] = UID_FLAGS,
    ) -> None:
        super().__init__(model, targets, are_uids)
        self.items, self.wanted = items
        if are_uids:
            self.wanted |= {"UID"}
        self.told: dict[Message, set[str]] = {}
        self.forbids_expunge = not are_uids
        self.refusals = frozenset() if are_uids else frozenset({"EXPUNGEISSUED"})

    def octets(self) -> bytes:
        return super().octets() + b" " + self.items.encode()

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Fetch):
            self.told.setdefault(self.model.messages[reply.number - 1], set()).update(reply.items)

    def _missing(self) -> list[Message]:
        there = set(self.model.messages)
        return [
            each for each in self.targets if each in there and not self.wanted <= self.told.get(each, set())
        ]

    def done(self, client: Client, tagged: Tagged) -> None:
        self.leave_out(self._missing(), is_told=False)

    def refused(self, client: Client, tagged: Tagged) -> None:
        expect(self._missing(), "EXPUNGEISSUED", f"{self.name} {self.set} passed over nobody")
        self.leave_out(self._missing(), is_told=True)


class FetchChanges(FetchMessages):
    """FETCH with CHANGEDSINCE and VANISHED: only what has changed, and all of it. RFC 7162 §3.1.4.1, §3.2.6."""

    def __init__(self, model: Model, targets: Sequence[Message], since: int, asks_vanished: bool) -> None:
        super().__init__(model, targets, are_uids=True)
        self.wanted |= {"MODSEQ"}
        self.since, self.asks_vanished = since, asks_vanished
        self.targets = [each for each in targets if each.modseq > since]
        # Else news of a change that is older may come beside it.
        self._tells_nothing_older = since <= model.highest_modseq

    def octets(self) -> bytes:
        vanished = " VANISHED" if self.asks_vanished else ""
        return super().octets() + f" (CHANGEDSINCE {self.since}{vanished})".encode()

    def heard(self, client: Client, reply: Reply) -> None:
        super().heard(client, reply)
        if isinstance(reply, Fetch):
            modseq = reply.integer("MODSEQ")
            is_newer = modseq is not None and modseq > self.since
            expect(
                is_newer or not self._tells_nothing_older, "CHANGEDSINCE", f"{self.since}, and told {reply}"
            )
        elif isinstance(reply, Vanished) and reply.is_earlier:
            expect(self.asks_vanished, "VANISHED", f"(EARLIER) during {self.name}, which did not ask")
            for message in self.model.messages:
                if message.uid in reply.uids:
                    message.is_left_out = True


@dataclass(frozen=True, slots=True)
class Key:
    """A search key, and what it finds: (message, number, count). matches: None where the model cannot tell."""

    text: str
    matches: Callable[[Message, int], bool] | None = None
    uses_numbers: bool = False


class SearchMessages(Request):
    """SEARCH: RFC 9051 §6.4.4. is_exact: nothing changes meanwhile, so what is found is known before."""

    verb: ClassVar[str] = "SEARCH"

    def __init__(self, model: Model, key: Key, are_uids: bool, is_extended: bool, is_exact: bool) -> None:
        super().__init__()
        self.model, self.key, self.are_uids = model, key, are_uids
        self.is_extended, self.is_exact = is_extended, is_exact
        self.uses_numbers = key.uses_numbers or not are_uids
        self.forbids_expunge = not are_uids
        self.replies: list[Search] = []

    @property
    def name(self) -> str:
        return f"{self.tag} {'UID ' if self.are_uids else ''}SEARCH {self.key.text}"

    def octets(self) -> bytes:
        extended = "RETURN (MIN MAX COUNT ALL) " if self.is_extended else ""
        return f"{'UID ' if self.are_uids else ''}SEARCH {extended}{self.key.text}".encode()

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Search):
            self.replies.append(reply)
            self.model.search(reply, self.are_uids)

    def done(self, client: Client, tagged: Tagged) -> None:
        expect(len(self.replies) == 1, "SEARCH", f"{len(self.replies)} answers to {self.name}")
        reply = self.replies[0]
        if self.is_extended:
            self._check_extended(reply)
        if self.is_exact and self.key.matches is not None:
            numbered = [
                (n, each) for n, each in enumerate(self.model.messages, 1) if self.key.matches(each, n)
            ]
            due = [each.uid if self.are_uids else n for n, each in numbered]
            expect(
                sorted(reply.found) == due,
                "SEARCH",
                f"{self.name} found {list(reply.found)}, and there are {due}",
            )

    def _check_extended(self, reply: Search) -> None:
        options = reply.options
        expect(
            options is not None and reply.tag == self.tag, "ESEARCH", f"{self.name} was answered with {reply}"
        )
        expect(reply.are_uids == self.are_uids, "ESEARCH", f"{self.name} was answered with {reply}")
        counted = {"COUNT": str(len(reply.found))}
        if reply.found:
            counted |= {"MIN": str(min(reply.found)), "MAX": str(max(reply.found))}
        told = {word: value for word, value in (options or {}).items() if word not in ("ALL", "MODSEQ")}
        expect(told == counted, "ESEARCH", f"{self.name}: {told} does not go with {list(reply.found)}")


class SaveSearch(SearchMessages):
    """SEARCH RETURN (SAVE): RFC 9051 §6.4.4.1. `$` names from then on what it found."""

    def __init__(self, model: Model, key: Key) -> None:
        super().__init__(model, key, are_uids=True, is_extended=False, is_exact=False)

    def octets(self) -> bytes:
        return f"UID SEARCH RETURN (SAVE) {self.key.text}".encode()

    def done(self, client: Client, tagged: Tagged) -> None:
        expect(not self.replies, "SEARCH", f"{self.name} is only saved, and was answered")


class Status(Request):
    """STATUS: RFC 9051 §6.3.11."""

    verb: ClassVar[str] = "STATUS"
    refusals = frozenset({"NONEXISTENT"})

    def __init__(self, mailbox: str, is_exact: bool = False, asks_modseq: bool = False) -> None:
        super().__init__()
        self.asks_modseq = asks_modseq
        self.mailbox = mailbox
        self.is_exact = is_exact
        self.counters: Counters | None = None
        if mailbox in names.KEEPERS:
            self.refusals = frozenset()

    def octets(self) -> bytes:
        modseq = " HIGHESTMODSEQ" if self.asks_modseq else ""
        return f"STATUS {self.mailbox} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN{modseq})".encode()

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Counters):
            self.counters = reply

    def done(self, client: Client, tagged: Tagged) -> None:
        if self.counters is None:
            raise Violation("STATUS", f"no answer to {self.name} {self.mailbox}")
        told = self.counters.counters
        validity = told["UIDVALIDITY"]
        client.ledger.opened(self.mailbox, validity, self.floor("UIDVALIDITY", self.mailbox))
        client.ledger.rise("UIDNEXT", validity, told["UIDNEXT"], self.floor("UIDNEXT", validity))
        if self.asks_modseq:
            floor = self.floor("HIGHESTMODSEQ", validity)
            client.ledger.rise("HIGHESTMODSEQ", validity, told["HIGHESTMODSEQ"], floor)
        expect(told["UNSEEN"] <= told["MESSAGES"] < told["UIDNEXT"], "STATUS", f"{told}")
        if self.is_exact and client.model is not None and client.model.validity == validity:
            seen = sum("\\Seen" in (each.flags or ()) for each in client.model.messages)
            due = {"MESSAGES": client.model.count, "UNSEEN": client.model.count - seen}
            expect(due.items() <= told.items(), "STATUS", f"{told}, and there are {due}")


class Noop(Request):
    """NOOP: RFC 9051 §6.1.2. What was acknowledged before it is shown."""

    verb: ClassVar[str] = "NOOP"

    def done(self, client: Client, tagged: Tagged) -> None:
        if client.model is not None:
            client.model.synchronized()


class Check(Noop):
    """CHECK: RFC 3501 §6.4.1."""

    verb: ClassVar[str] = "CHECK"

    def done(self, client: Client, tagged: Tagged) -> None:
        """CHECK promises no news."""


class ListAll(Request):
    """LIST: RFC 9051 §6.3.9. Keepers are always there, and nobody is there twice."""

    verb: ClassVar[str] = "LIST"

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def octets(self) -> bytes:
        return b'LIST "" *'

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Listed) and not {"\\Noselect", "\\NonExistent"} & set(reply.attributes):
            self.found.append(reply.name.decode())

    def done(self, client: Client, tagged: Tagged) -> None:
        expect(len(set(self.found)) == len(self.found), "LIST", f"twice in {self.found}")
        expect(set(names.KEEPERS) <= set(self.found), "LIST", f"a keeper is not in {self.found}")


class Idle(Request):
    """IDLE: RFC 9051 §6.3.13."""

    verb: ClassVar[str] = "IDLE"
    is_last = True

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._is_begun = False

    async def go_on(self, client: Client) -> None:
        expect(not self._is_begun, "+", "a second continuation during IDLE")
        self._is_begun = True
        await client.listen(self._seconds)
        await client.write(b"DONE\r\n")

    def heard(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Condition) and reply.word != "OK":
            raise Violation("IDLE", f"{reply}")
