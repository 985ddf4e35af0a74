"""Deliveries in memory: what fits is decided before anything is written."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.mail.errors import MailboxNotFound, MailError, MessageTooLarge, OverQuota, StoreUnavailable
from services.mail.store.changes import ChangeKind
from services.mail.store.deliveries import Addressee, Delivered, Letter, Mode, Placed
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended
from services.mail.store.traces import Trace, TraceKind, delivered_with
from services.mail.store.uids import Runs, runs_of
from tests.fakes.memory.content import Content
from tests.fakes.memory.state import State


@dataclass(frozen=True, slots=True)
class MemoryDeliveries:
    """The port's Deliveries."""

    state: State

    async def deliver(self, letter: Letter) -> Delivered:
        """Stores a letter, whole or by recipient."""
        content = await self.state.take(letter.body, letter.size)
        longest = max((len(addressee.head) for addressee in letter.addressees), default=0)
        if longest + len(content.octets) > self.state.max_message_octets:
            raise MessageTooLarge
        repeated = self._answer(letter)
        if repeated is not None:
            if letter.mode is Mode.ALL and isinstance(repeated[0], StoreUnavailable):
                raise repeated[0]
            return _delivered(repeated, is_repeated=True)
        refusals = self._refusals(letter.addressees, content)
        if letter.mode is Mode.ALL and any(refusals):
            raise next(refusal for refusal in refusals if refusal)
        outcomes = self._place(letter.addressees, refusals, content)
        self._trace(letter, outcomes, content)
        for addressee, outcome in zip(letter.addressees, outcomes, strict=True):
            if isinstance(outcome, Appended):
                ledger = self.state.ledger(addressee.mailbox.account_id)
                ledger.answers[letter.request_id] = outcomes
        return _delivered(outcomes, is_repeated=False)

    async def settle(
        self, request_id: UUID, mailboxes: Sequence[MailboxKey]
    ) -> Sequence[Appended | MailError]:
        """What became of a write, or never will."""
        account_ids = {mailbox.account_id for mailbox in mailboxes}
        answer = self._known(request_id, account_ids)
        if answer is None:
            answer = tuple(StoreUnavailable() for _ in mailboxes)
        for account_id in account_ids & self.state.ledgers.keys():
            self.state.ledgers[account_id].answers.setdefault(request_id, answer)
        return answer

    def _trace(self, letter: Letter, outcomes: Sequence[Appended | MailError], content: Content) -> None:
        for to, outcome in zip(letter.addressees, outcomes, strict=True):
            if isinstance(outcome, Appended):
                trace = Trace(
                    kind=TraceKind.DELIVERED,
                    at=int(self.state.clock() * 1_000_000),
                    letter_id=letter.request_id,
                    size=len(to.head) + len(content.octets),
                    account_id=to.mailbox.account_id,
                    mailbox_id=to.mailbox.mailbox_id,
                    uid=outcome.uid,
                    dsn=to.dsn,
                )
                self.state.traces.append(replace(trace, **delivered_with(to.head, content.seen.envelope)))

    def _answer(self, letter: Letter) -> Sequence[Appended | MailError] | None:
        return self._known(letter.request_id, {to.mailbox.account_id for to in letter.addressees})

    def _known(self, request_id: UUID, account_ids: set[int]) -> Sequence[Appended | MailError] | None:
        for account_id in account_ids & self.state.ledgers.keys():
            answer = self.state.ledgers[account_id].answers.get(request_id)
            if isinstance(answer, tuple):
                return answer
            if isinstance(answer, Appended):
                return (answer,)
        return None

    def _refusals(self, addressees: Sequence[Addressee], content: Content) -> list[MailError | None]:
        octets: defaultdict[int, int] = defaultdict(int)
        messages: defaultdict[int, int] = defaultdict(int)
        refusals: list[MailError | None] = []
        for to in addressees:
            account_id = to.mailbox.account_id
            try:
                self.state.folder(to.mailbox)
            except MailboxNotFound as refusal:
                refusals.append(refusal)
                continue
            # What does not fit counts too: a smaller copy of the same letter does not get in past it.
            octets[account_id] += len(to.head) + len(content.octets)
            messages[account_id] += 1
            try:
                self.state.ledger(account_id).check_room(octets[account_id], messages[account_id])
            except OverQuota as refusal:
                refusals.append(refusal)
            else:
                refusals.append(None)
        return refusals

    def _place(
        self, addressees: Sequence[Addressee], refusals: Sequence[MailError | None], content: Content
    ) -> tuple[Appended | MailError, ...]:
        outcomes: list[Appended | MailError] = []
        placed: defaultdict[int, defaultdict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for to, refusal in zip(addressees, refusals, strict=True):
            if refusal is not None:
                outcomes.append(refusal)
                continue
            ledger, folder = self.state.ledger(to.mailbox.account_id), self.state.folder(to.mailbox)
            bits, previous, modseq = ledger.bits(to.flags), folder.highest_modseq, ledger.modseq + 1
            uid = folder.place(content, to.head, bits, modseq, self.state.now())
            placed[to.mailbox.account_id][to.mailbox.mailbox_id].append(uid)
            outcomes.append(Appended(folder.mailbox.uid_validity, uid, modseq, previous))
        for account_id, folders in placed.items():
            rows: list[tuple[int, ChangeKind, Runs]] = [
                (mailbox_id, ChangeKind.ADDED, runs_of(uids)) for mailbox_id, uids in folders.items()
            ]
            self.state.ledger(account_id).write(*rows)
        return tuple(outcomes)


def _delivered(outcomes: Sequence[Appended | MailError], is_repeated: bool) -> Delivered:
    placed = tuple(
        Placed(each.uid_validity, each.uid) if isinstance(each, Appended) else each for each in outcomes
    )
    return Delivered(placed, is_repeated)
