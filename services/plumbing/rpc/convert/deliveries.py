"""Deliveries as they travel. The rule: a letter's octets are never looked at here."""

from collections.abc import Sequence

from restante.v1 import deliveries_pb2 as pb
from restante.v1.errors_pb2 import Refusal

from services.mail.errors import InvalidArgument, MailError, StoreUnavailable
from services.mail.store.deliveries import Addressee, Delivered, Letter, Mode, Placed
from services.mail.store.messages import Appended, Body
from services.plumbing.rpc.convert import messages, uids
from services.plumbing.rpc.errors import from_refusal, to_refusal

_MODES = {Mode.ALL: pb.DELIVERY_MODE_ALL, Mode.EACH: pb.DELIVERY_MODE_EACH}
_MODES_BY_NUMBER: dict[int, Mode] = {
    pb.DELIVERY_MODE_UNSPECIFIED: Mode.ALL,
    pb.DELIVERY_MODE_ALL: Mode.ALL,
    pb.DELIVERY_MODE_EACH: Mode.EACH,
}


def header_to_wire(letter: Letter) -> pb.DeliverRequest.Header:
    """All of a letter but its body."""
    return pb.DeliverRequest.Header(
        request_id=letter.request_id.bytes,
        addressees=[
            pb.Addressee(
                mailbox=uids.key_to_wire(each.mailbox), head=each.head, flags=each.flags, dsn=each.dsn
            )
            for each in letter.addressees
        ],
        size=letter.size,
        mode=_MODES[letter.mode],
    )


def letter_from_wire(header: pb.DeliverRequest.Header, body: Body) -> Letter:
    """The letter of a header and its body. Raises InvalidArgument."""
    if header.mode not in _MODES_BY_NUMBER:
        raise InvalidArgument(f"no such mode: {header.mode}")
    return Letter(
        request_id=uids.needed_id(header.request_id),
        addressees=tuple(
            Addressee(uids.key_from_wire(each.mailbox), each.head, tuple(each.flags), each.dsn)
            for each in header.addressees
        ),
        body=body,
        size=header.size if header.HasField("size") else None,
        mode=_MODES_BY_NUMBER[header.mode],
    )


def delivered_to_wire(delivered: Delivered) -> pb.DeliverResponse:
    """An outcome per addressee."""
    return pb.DeliverResponse(
        outcomes=[_outcome_to_wire(outcome) for outcome in delivered.outcomes],
        is_repeated=delivered.is_repeated,
    )


def _outcome_to_wire(outcome: Placed | MailError) -> pb.Outcome:
    if isinstance(outcome, MailError):
        return pb.Outcome(refusal=to_refusal(outcome))
    return pb.Outcome(placed=pb.Placed(uid_validity=outcome.uid_validity, uid=outcome.uid))


def delivered_from_wire(delivered: pb.DeliverResponse) -> Delivered:
    """An outcome per addressee."""
    return Delivered(tuple(_outcome_from_wire(each) for each in delivered.outcomes), delivered.is_repeated)


def _outcome_from_wire(outcome: pb.Outcome) -> Placed | MailError:
    if outcome.WhichOneof("result") == "placed":
        return Placed(outcome.placed.uid_validity, outcome.placed.uid)
    return refusal_from_wire(outcome.refusal)


def settled_to_wire(outcomes: Sequence[Appended | MailError]) -> pb.SettleResponse:
    """An outcome per mailbox."""
    return pb.SettleResponse(
        outcomes=[
            pb.Settled(refusal=to_refusal(outcome))
            if isinstance(outcome, MailError)
            else pb.Settled(appended=messages.appended_to_wire(outcome))
            for outcome in outcomes
        ]
    )


def settled_from_wire(settled: pb.SettleResponse) -> Sequence[Appended | MailError]:
    """An outcome per mailbox."""
    return tuple(
        messages.appended_from_wire(each.appended)
        if each.WhichOneof("result") == "appended"
        else refusal_from_wire(each.refusal)
        for each in settled.outcomes
    )


def refusal_from_wire(refusal: Refusal) -> MailError:
    """A refusal that is part of an answer."""
    error = from_refusal(refusal)
    return error if isinstance(error, MailError) else StoreUnavailable(str(error))
