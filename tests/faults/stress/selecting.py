"""SELECT, EXAMINE, CLOSE, UNSELECT, CREATE, DELETE, RENAME: which mailboxes there are, and which one is open.

The rule: what is told before CLOSED is about the mailbox that was open. RFC 9051 §7.1, CLOSED.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tests.faults.stress import names
from tests.faults.stress.ledger import Place
from tests.faults.stress.model import Model
from tests.faults.stress.remembering import Remembered, take_up
from tests.faults.stress.replies import Condition, Reply, Tagged
from tests.faults.stress.requests import Request
from tests.faults.stress.violations import expect

if TYPE_CHECKING:
    from tests.faults.stress.client import Client


class Select(Request):
    """SELECT: RFC 9051 §6.3.2; EXAMINE: §6.3.3."""

    is_last = True

    def __init__(
        self, mailbox: str, is_writable: bool, parameters: str = "", remembered: Remembered | None = None
    ) -> None:
        """remembered: what QRESYNC starts from, where the parameters say so."""
        super().__init__()
        self.mailbox, self.is_writable, self.parameters = mailbox, is_writable, parameters
        self.remembered = remembered
        self.opened: Model | None = None
        self.deletions = 0
        if mailbox not in names.KEEPERS:
            self.refusals = frozenset({"NONEXISTENT"})

    @property
    def name(self) -> str:
        return f"{self.tag} {'SELECT' if self.is_writable else 'EXAMINE'}"

    def octets(self) -> bytes:
        return f"{'SELECT' if self.is_writable else 'EXAMINE'} {self.mailbox}{self.parameters}".encode()

    def sent(self, client: Client) -> None:
        super().sent(client)
        self.deletions = client.ledger.deletions_ended

    def before(self, client: Client, reply: Reply) -> None:
        if self.opened is None:
            if isinstance(reply, Condition) and reply.code == ["CLOSED"]:
                expect(client.model is not None, "CLOSED", "with no mailbox open")
                client.put_away()
            elif client.model is None:
                self._open(client)

    def _open(self, client: Client) -> Model:
        self.opened = client.model = Model(
            self.mailbox, self.is_writable, client.ledger, client.next_session()
        )
        self.opened.deletions = self.deletions
        return self.opened

    def heard(self, client: Client, reply: Reply) -> None:
        model = self.opened
        if model is None or not isinstance(reply, Condition) or len(reply.code) < 2:
            return
        match reply.code[0]:
            case "UIDVALIDITY":
                model.validity = int(reply.code[1])
                client.ledger.opened(self.mailbox, model.validity, self.floor("UIDVALIDITY", self.mailbox))
            case "UIDNEXT":
                model.uid_next = int(reply.code[1])
            case "HIGHESTMODSEQ":
                of, modseq = model.validity, int(reply.code[1])
                client.ledger.rise("HIGHESTMODSEQ", of, modseq, self.floor("HIGHESTMODSEQ", of))
            case "UNSEEN":
                expect(1 <= int(reply.code[1]) <= model.count, "UNSEEN", f"{reply.code[1]} of {model.count}")

    def done(self, client: Client, tagged: Tagged) -> None:
        model = self.opened
        expect(model is not None, "SELECT", f"{self.name} said nothing, or no CLOSED")
        assert model is not None
        expect(model.validity and model.uid_next, "SELECT", f"{self.name} told no UIDVALIDITY or UIDNEXT")
        expect(model.count_told is not None, "SELECT", f"{self.name} told no EXISTS")
        old = sum(not each.is_new for each in model.messages)
        expect(old < model.uid_next, "UIDNEXT", f"{old} messages below {model.uid_next}")
        code = "READ-WRITE" if self.is_writable else "READ-ONLY"
        expect(code in tagged.code, "SELECT", f"{self.name}: {tagged.code} is not {code}")
        of = model.validity
        client.ledger.rise("UIDNEXT", of, model.uid_next, self.floor("UIDNEXT", of))
        if self.remembered is not None and self.remembered.validity == model.validity:
            take_up(model, self.remembered)
            client.done["(taken up)"] += 1
        else:
            expect(not model.vanished_earlier, "VANISHED", f"(EARLIER) during {self.name}, which did not ask")

    def refused(self, client: Client, tagged: Tagged) -> None:
        client.model = None

    def lost(self, client: Client) -> None:
        client.model = None


class Close(Request):
    """CLOSE: RFC 9051 §6.4.1. UNSELECT: §6.4.2."""

    is_last = True

    def __init__(self, verb: str) -> None:
        super().__init__()
        self._verb = verb

    @property
    def name(self) -> str:
        return f"{self.tag} {self._verb}"

    def octets(self) -> bytes:
        return self._verb.encode()

    def done(self, client: Client, tagged: Tagged) -> None:
        client.put_away()


class Create(Request):
    """CREATE: RFC 9051 §6.3.4."""

    verb: ClassVar[str] = "CREATE"
    refusals = frozenset({"ALREADYEXISTS"})

    def __init__(self, mailbox: str) -> None:
        super().__init__()
        self.mailbox = mailbox

    def octets(self) -> bytes:
        return f"{self.verb} {self.mailbox}".encode()


class Delete(Create):
    """DELETE: RFC 9051 §6.3.5. The mailbox may be the client's own."""

    verb: ClassVar[str] = "DELETE"
    refusals = frozenset({"NONEXISTENT", "HASCHILDREN"})
    is_last = True

    def sent(self, client: Client) -> None:
        super().sent(client)
        assert names.is_perishable(self.mailbox)
        client.ledger.deletions += 1

    def done(self, client: Client, tagged: Tagged) -> None:
        client.ledger.deletions_ended += 1

    def refused(self, client: Client, tagged: Tagged) -> None:
        client.ledger.deletions_ended += 1

    def before(self, client: Client, reply: Reply) -> None:
        if isinstance(reply, Condition) and reply.code == ["CLOSED"]:
            expect(client.model is not None, "CLOSED", "with no mailbox open")
            client.put_away()


class Rename(Create):
    """RENAME: RFC 9051 §6.3.6. Sessions go on in a mailbox that was renamed."""

    verb: ClassVar[str] = "RENAME"
    refusals = frozenset({"NONEXISTENT", "ALREADYEXISTS"})

    def __init__(self, mailbox: str, new_name: str) -> None:
        super().__init__(mailbox)
        self.new_name = new_name

    def octets(self) -> bytes:
        return f"RENAME {self.mailbox} {self.new_name}".encode()


class RenameInbox(Rename):
    """RENAME of INBOX: RFC 9051 §6.3.6. What is in it goes to a new mailbox, with new uids; INBOX stays, empty."""

    refusals = frozenset({"ALREADYEXISTS"})

    def __init__(self, new_name: str) -> None:
        super().__init__(names.INBOX, new_name)
        self.taken: set[Place] = set()

    def sent(self, client: Client) -> None:
        super().sent(client)
        self.taken = client.ledger.in_inbox()

    def done(self, client: Client, tagged: Tagged) -> None:
        client.ledger.moved |= self.taken
        client.ledger.empty_inbox(self.new_name)
        client.done["(INBOX renamed)"] += 1

    def lost(self, client: Client) -> None:
        client.ledger.empty_inbox(self.new_name)
