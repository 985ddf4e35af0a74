"""Deliveries on PostgreSQL. The rule: a letter is parsed and its large body written before it is gathered."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.mail.errors import InvalidArgument, MailboxNotFound, MailError, OverQuota, StoreUnavailable
from services.mail.store.deliveries import MOST_ADDRESSEES, Addressee, Delivered, Letter, Mode, Placed
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import Appended
from services.storage.arrays import Bigints
from services.storage.bodies import Bodies
from services.storage.deliveries import statements
from services.storage.deliveries.batch import LetterCopy, Outcome, Waiting
from services.storage.gather import Gatherer
from services.storage.messages.keywords import Keywords, split
from services.storage.traces.recorder import Recorder
from services.storage.transaction import Database

MAX_HEAD_OCTETS: Final = 64 * 1024
MAX_DSN: Final = 1024

REFUSALS: Final[dict[int, type[MailError]]] = {
    statements.NO_MAILBOX: MailboxNotFound,
    statements.OVER_QUOTA: OverQuota,
    statements.GIVEN_UP: StoreUnavailable,
}


class PostgresDeliveries:
    """Implements `services.mail.store.deliveries.Deliveries`."""

    def __init__(
        self,
        database: Database,
        gatherer: Gatherer,
        bodies: Bodies,
        keywords: Keywords,
        recorder: Recorder,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._gatherer = gatherer
        self._bodies = bodies
        self._keywords = keywords

    async def deliver(self, letter: Letter) -> Delivered:
        """See the port."""
        if not 1 <= len(letter.addressees) <= MOST_ADDRESSEES:
            raise InvalidArgument(f"a letter has 1 to {MOST_ADDRESSEES} addressees")
        longest = max(len(addressee.head) for addressee in letter.addressees)
        if longest > MAX_HEAD_OCTETS:
            raise InvalidArgument(f"a head has at most {MAX_HEAD_OCTETS} octets")
        if max(len(addressee.dsn) for addressee in letter.addressees) > MAX_DSN:
            raise InvalidArgument(f"the parameters of a recipient have at most {MAX_DSN} characters")
        content = await self._bodies.take(letter.body, letter.size, longest)
        copies = [await self._copy(addressee) for addressee in letter.addressees]
        waiting = Waiting(letter.request_id, copies, content, letter.mode is Mode.ALL)
        found = await self._gatherer.submit(waiting)
        is_repeated = any(outcome.is_repeated for outcome in found)
        for copy, outcome in zip(copies, found, strict=True):
            if outcome.code == statements.STORED and not outcome.is_repeated:
                size = content.size + len(copy.head)
                self._recorder.note(
                    letter.request_id, copy.mailbox, outcome.uid, size, copy.head, content.envelope
                )
        if content.upload_id is not None and not _names_upload(found):
            await asyncio.shield(self._bodies.drop(content.upload_id))
        if letter.mode is Mode.ALL:
            _refuse_whole(found)
        return Delivered([_outcome(each) for each in found], is_repeated)

    async def settle(
        self, request_id: UUID, mailboxes: Sequence[MailboxKey]
    ) -> Sequence[Appended | MailError]:
        """See the port."""
        if not 1 <= len(mailboxes) <= MOST_ADDRESSEES:
            raise InvalidArgument(f"a request was about 1 to {MOST_ADDRESSEES} mailboxes")
        copies = Counter(mailbox.account_id for mailbox in mailboxes)
        values = {
            "accounts": Bigints(copies.keys()),
            "copies": Bigints(copies.values()),
            "request_id": request_id,
        }
        rows = (await self._database.transact(list(copies), (statements.SETTLE, values)))[0]
        answers = {account_id: iter(answer) for account_id, answer in rows}
        unknown = [statements.GIVEN_UP]
        return [_settled(next(answers.get(each.account_id, iter(())), unknown)) for each in mailboxes]

    async def _copy(self, addressee: Addressee) -> LetterCopy:
        if not addressee.flags:
            return LetterCopy(addressee.mailbox, addressee.head, 0, dsn=addressee.dsn)
        try:
            bits = await self._keywords.bits(addressee.mailbox.account_id, addressee.flags, is_adding=True)
        except MailboxNotFound:
            bits = 0
        flags, more = split(bits)
        return LetterCopy(addressee.mailbox, addressee.head, flags, more, addressee.dsn)


def _names_upload(found: Sequence[Outcome]) -> bool:
    return any(each.code == statements.STORED and not each.is_repeated for each in found)


def _refuse_whole(found: Sequence[Outcome]) -> None:
    for each in found:
        if each.code in REFUSALS:
            raise REFUSALS[each.code]


def _settled(answer: Sequence[int]) -> Appended | MailError:
    code, *numbers = answer
    return Appended(*numbers) if code == statements.STORED else REFUSALS[code]()


def _outcome(outcome: Outcome) -> Placed | MailError:
    if outcome.code == statements.STORED:
        return Placed(outcome.uid_validity, outcome.uid)
    return REFUSALS[outcome.code]()
