"""Imports as they travel. The rule: a letter's octets are never looked at here."""

from collections.abc import Sequence

from restante.v1 import imports_pb2 as pb

from services.mail.errors import MailError
from services.mail.store.imports import Incoming, Taken, UniqueId
from services.mail.store.messages import Body
from services.plumbing.rpc.convert import uids
from services.plumbing.rpc.convert.deliveries import refusal_from_wire
from services.plumbing.rpc.errors import to_refusal


def letter_to_wire(letter: Incoming, octets: bytes) -> pb.Incoming:
    """A letter with its octets, or the first of them."""
    return pb.Incoming(
        key=letter.key.bytes,
        size=letter.size,
        flags=letter.flags,
        internal_at=letter.internal_at,
        uid=letter.uid,
        unique_id=letter.unique_id,
        octets=octets,
    )


def letter_from_wire(letter: pb.Incoming, body: Body) -> Incoming:
    """A letter and its body. Raises InvalidArgument."""
    return Incoming(
        uids.needed_id(letter.key),
        body,
        letter.size,
        tuple(letter.flags),
        letter.internal_at if letter.HasField("internal_at") else None,
        letter.uid,
        letter.unique_id,
    )


def outcomes_to_wire(outcomes: Sequence[Taken | MailError]) -> pb.ImportMessagesResponse:
    """An outcome per letter."""
    return pb.ImportMessagesResponse(outcomes=[_outcome_to_wire(outcome) for outcome in outcomes])


def _outcome_to_wire(outcome: Taken | MailError) -> pb.Imported:
    if isinstance(outcome, MailError):
        return pb.Imported(refusal=to_refusal(outcome))
    return pb.Imported(taken=pb.Imported.Taken(uid=outcome.uid, is_repeated=outcome.is_repeated))


def outcomes_from_wire(response: pb.ImportMessagesResponse) -> Sequence[Taken | MailError]:
    """An outcome per letter."""
    return [_outcome_from_wire(outcome) for outcome in response.outcomes]


def _outcome_from_wire(outcome: pb.Imported) -> Taken | MailError:
    if outcome.WhichOneof("result") == "taken":
        return Taken(outcome.taken.uid, outcome.taken.is_repeated)
    return refusal_from_wire(outcome.refusal)


def unique_ids_from_wire(response: pb.ListUniqueIdsResponse) -> Sequence[UniqueId]:
    """What POP3 tells."""
    return [UniqueId(each.uid, each.unique_id) for each in response.unique_ids]
