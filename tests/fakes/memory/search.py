"""Search in memory: every term asked of every message, one after the other."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate

from services.mail.mime import PartMap
from services.mail.search.folding import fold
from services.mail.store.flags import flag_bits
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.search import (
    Among,
    Arrived,
    Changed,
    Everything,
    Flagged,
    Found,
    InBody,
    InField,
    InText,
    Key,
    Operator,
    Query,
    Sent,
    Sized,
    check,
)
from services.mail.store.uids import Runs
from tests.fakes.memory.reading import Read, read
from tests.fakes.memory.state import Message, State

PART = 100


@dataclass(frozen=True, slots=True)
class MemorySearch:
    """The port's Search."""

    state: State

    async def search(self, mailbox: MailboxKey, uids: Runs, query: Query) -> AsyncIterator[Found]:
        """Which of these live and answer the query."""
        check(query)
        folder, ledger = self.state.folder(mailbox), self.state.ledger(mailbox.account_id)
        asked = [uid for uid in sorted(folder.live) if any(first <= uid <= last for first, last in uids)]
        tells_modseqs = any(isinstance(term, Changed) for term in query)
        for start in range(0, len(asked), PART):
            some = [folder.live[uid] for uid in asked[start : start + PART] if uid in folder.live]
            found = [message for message in some if answers(message, query, tuple(ledger.keywords))]
            modseqs = [message.modseq for message in found] if tells_modseqs else []
            yield Found([message.uid for message in found], modseqs, asked[start : start + PART][-1])
        if uids:
            yield Found((), (), uids[-1][1])


def answers(message: Message, query: Query, keywords: tuple[str, ...]) -> bool:
    """Whether a message answers a query."""
    stack: list[bool] = []
    for term in query:
        if term is Operator.NOT:
            stack.append(not stack.pop())
        elif isinstance(term, Operator):
            right, left = stack.pop(), stack.pop()
            stack.append(left and right if term is Operator.AND else left or right)
        else:
            stack.append(has(message, term, keywords))
    return stack.pop()


def has(message: Message, key: Key, keywords: tuple[str, ...]) -> bool:
    """Whether a message is what one term says."""
    match key:
        case Everything():
            return True
        case Among(uids):
            return any(first <= message.uid <= last for first, last in uids)
        case Flagged(flag):
            return bool(message.flags & flag_bits((flag,), keywords)[0])
        case Sized(least, most):
            return least <= message.size <= most
        case Arrived(since, before):
            return since <= message.internal_at < before
        case Changed(modseq):
            return message.modseq >= modseq
        case Sent(since, before):
            day = sent_day(_read(message))
            return day is not None and since <= day < before
        case InField(name, text):
            values = [value for field, value in _read(message).fields if field and fold(field) == fold(name)]
            return any(fold(text) in fold(value) for value in values)
        case InBody(text):
            return not text or any(fold(text) in fold(body) for body in _read(message).bodies)
        case InText(text):
            seen = _read(message)
            lines = [f"{name}:{value}" if name else value for name, value in seen.fields + seen.inner_fields]
            return not text or any(fold(text) in fold(each) for each in lines + seen.bodies)


def sent_day(seen: Read) -> int | None:
    """The Date field's day, in days since 1970-01-01."""
    dates = [value for name, value in seen.fields if name.lower() == "date"]
    parsed = parsedate(dates[0]) if dates else None
    try:
        return (date(*parsed[:3]) - date(1970, 1, 1)).days if parsed else None
    except ValueError:
        return None


def _read(message: Message) -> Read:
    parts = PartMap.decode(message.content.seen.parts, 0)
    return read(message.head, message.content.octets, parts)
