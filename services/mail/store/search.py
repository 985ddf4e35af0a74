"""Search in a mailbox: this part of the store's port.

A query is a tuple of terms in postfix order: what is asked of a message first, then the operators that join it, so
`OR a NOT b` is (a, b, NOT, OR). The rule: a text is found where, both folded (RFC 5051), it is a substring of the
decoded text that it is looked for in, whether that text was prepared for searching or is read now.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from services.mail.errors import InvalidArgument
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.uids import Runs

MAX_TERMS: Final = 10_000
# Wider than any number of seconds, days or octets.
FIRST: Final = -(2**62)
LAST: Final = 2**62


class Operator(Enum):
    """Joins the one or two results before it."""

    AND = auto()
    OR = auto()
    NOT = auto()


@dataclass(frozen=True, slots=True)
class Everything:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Among:
    """Those with these uids."""

    uids: Runs


@dataclass(frozen=True, slots=True)
class Flagged:
    """Those with this flag or keyword."""

    flag: str


@dataclass(frozen=True, slots=True)
class Sized:
    """Octets from `least` to `most`, both included."""

    least: int = FIRST
    most: int = LAST


@dataclass(frozen=True, slots=True)
class Arrived:
    """Internal date from `since` on and before `before`, in seconds since 1970."""

    since: int = FIRST
    before: int = LAST


@dataclass(frozen=True, slots=True)
class Sent:
    """The Date field's day, as it is written there, from `since` on and before `before`, in days since 1970-01-01."""

    since: int = FIRST
    before: int = LAST


@dataclass(frozen=True, slots=True)
class Changed:
    """Those whose modseq is at least this. RFC 7162 §3.1.5."""

    modseq: int


@dataclass(frozen=True, slots=True)
class InField:
    """The text stands in a field of this name; an empty text asks only whether there is such a field."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class InBody:
    """The text stands in a text part."""

    text: str


@dataclass(frozen=True, slots=True)
class InText:
    """The text stands in a text part or in any header field, those of parts included."""

    text: str


Key = Everything | Among | Flagged | Sized | Arrived | Sent | Changed | InField | InBody | InText
Term = Key | Operator
Query = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Part of an answer: the uids found up to and with `searched_to`, ascending, and their modseqs in parallel.

    modseqs: empty unless the query asks for them by `Changed`.
    """

    uids: Sequence[int]
    modseqs: Sequence[int]
    searched_to: int


class Search(Protocol):
    """Searching in every mailbox."""

    def search(self, mailbox: MailboxKey, uids: Runs, query: Query) -> AsyncIterator[Found]:
        """Which of these uids live and answer the query. RFC 9051 §6.4.4.

        Parts come as the search goes on, some of them empty; nothing more is searched until the next is asked for.
        Raises MailboxNotFound, InvalidArgument.
        """
        ...


def check(query: Query) -> None:
    """Raises InvalidArgument unless the terms join to one result."""
    if len(query) > MAX_TERMS:
        raise InvalidArgument(f"a query has at most {MAX_TERMS} terms")
    results = 0
    for term in query:
        if isinstance(term, Operator):
            operands = 1 if term is Operator.NOT else 2
            if results < operands:
                raise InvalidArgument(f"{term.name} has nothing to join")
            results -= operands - 1
        else:
            results += 1
    if results != 1:
        raise InvalidArgument("the terms of a query join to one result")
