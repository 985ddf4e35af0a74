"""Searches as they travel.

The rule: what is found goes as runs, a bounded number of uids at a time, so that nothing on a stream waits long.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from restante.v1 import search_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.search import (
    FIRST,
    LAST,
    Among,
    Arrived,
    Changed,
    Everything,
    Flagged,
    Found,
    InBody,
    InField,
    InText,
    Operator,
    Query,
    Sent,
    Sized,
    Term,
)
from services.mail.store.uids import each, runs_of
from services.plumbing.rpc.convert import uids

# Uids of one part: at their widest about 200 KB.
PART_UIDS: Final = 10_000

_OPERATORS: Final = {
    Operator.AND: pb.SearchTerm.OPERATOR_AND,
    Operator.OR: pb.SearchTerm.OPERATOR_OR,
    Operator.NOT: pb.SearchTerm.OPERATOR_NOT,
}
_BY_NUMBER: Final[dict[int, Operator]] = {number: operator for operator, number in _OPERATORS.items()}


def query_to_wire(query: Query) -> list[pb.SearchTerm]:
    """The terms in their order. Raises InvalidArgument for lone surrogates."""
    return [_term_to_wire(term) for term in query]


def query_from_wire(terms: Sequence[pb.SearchTerm]) -> Query:
    """The terms in their order. Raises InvalidArgument."""
    return tuple(_term_from_wire(term) for term in terms)


def found_to_wire(found: Found) -> Iterator[pb.SearchResponse]:
    """The parts of a part: one, unless very much was found."""
    for start in range(0, max(len(found.uids), 1), PART_UIDS):
        some = found.uids[start : start + PART_UIDS]
        is_last = start + PART_UIDS >= len(found.uids)
        yield pb.SearchResponse(
            uids=uids.runs_to_wire(runs_of(some)),
            modseqs=found.modseqs[start : start + PART_UIDS],
            searched_to=found.searched_to if is_last else some[-1],
        )


def found_from_wire(part: pb.SearchResponse) -> Found:
    """Part of an answer."""
    return Found(tuple(each(uids.runs_from_wire(part.uids))), tuple(part.modseqs), part.searched_to)


def _term_to_wire(term: Term) -> pb.SearchTerm:
    match term:
        case Operator():
            return pb.SearchTerm(operator=_OPERATORS[term])
        case Everything():
            return pb.SearchTerm(everything=pb.SearchTerm.Everything())
        case Among(runs):
            return pb.SearchTerm(among=uids.runs_to_wire(runs))
        case Flagged(flag):
            return pb.SearchTerm(flagged=_text(flag))
        case Sized(least, most):
            return pb.SearchTerm(
                sized=pb.SearchTerm.Sized(least=_bound(least, FIRST), most=_bound(most, LAST))
            )
        case Arrived(since, before):
            return pb.SearchTerm(arrived=_span(since, before))
        case Sent(since, before):
            return pb.SearchTerm(sent=_span(since, before))
        case Changed(modseq):
            return pb.SearchTerm(changed=modseq)
        case InField(name, text):
            return pb.SearchTerm(in_field=pb.SearchTerm.Field(name=_text(name), text=_text(text)))
        case InBody(text):
            return pb.SearchTerm(in_body=_text(text))
        case InText(text):
            return pb.SearchTerm(in_text=_text(text))


def _term_from_wire(term: pb.SearchTerm) -> Term:
    match term.WhichOneof("term"):
        case "operator" if term.operator in _BY_NUMBER:
            return _BY_NUMBER[term.operator]
        case "everything":
            return Everything()
        case "among":
            return Among(uids.asked_runs(term.among))
        case "flagged":
            return Flagged(term.flagged)
        case "sized":
            sized = term.sized
            return Sized(
                sized.least if sized.HasField("least") else FIRST,
                sized.most if sized.HasField("most") else LAST,
            )
        case "arrived":
            return Arrived(*_ends(term.arrived))
        case "sent":
            return Sent(*_ends(term.sent))
        case "changed":
            return Changed(term.changed)
        case "in_field":
            return InField(term.in_field.name, term.in_field.text)
        case "in_body":
            return InBody(term.in_body)
        case "in_text":
            return InText(term.in_text)
    raise InvalidArgument("a term says what a message must be, or joins those before it")


def _span(since: int, before: int) -> pb.SearchTerm.Span:
    return pb.SearchTerm.Span(since=_bound(since, FIRST), before=_bound(before, LAST))


def _ends(span: pb.SearchTerm.Span) -> tuple[int, int]:
    return (
        span.since if span.HasField("since") else FIRST,
        span.before if span.HasField("before") else LAST,
    )


def _bound(number: int, unbounded: int) -> int | None:
    return None if number == unbounded else number


def _text(text: str) -> str:
    """A text that can travel. Raises InvalidArgument for lone surrogates."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise InvalidArgument("a text is Unicode")
    return text
