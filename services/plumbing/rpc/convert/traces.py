"""Traces as they travel."""

from restante.v1 import traces_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.traces import Trace, TraceKind
from services.plumbing.rpc.convert import uids


def trace_to_wire(trace: Trace) -> pb.Trace:
    """What became of a letter."""
    return pb.Trace(
        kind=pb.TraceKind.ValueType(trace.kind.value),
        at=trace.at,
        letter_id=trace.letter_id.bytes if trace.letter_id else b"",
        sender=trace.sender,
        recipient=trace.recipient,
        message_id=trace.message_id,
        peer=trace.peer,
        size=trace.size,
        detail=trace.detail,
        account_id=trace.account_id,
        mailbox_id=trace.mailbox_id,
        uid=trace.uid,
        mailbox=trace.mailbox,
        is_there=trace.is_there,
        dsn=trace.dsn,
        account=trace.account,
    )


def trace_from_wire(trace: pb.Trace) -> Trace:
    """What became of a letter. Raises InvalidArgument."""
    try:
        kind = TraceKind(trace.kind)
    except ValueError:
        raise InvalidArgument("a trace has a kind") from None
    return Trace(
        kind=kind,
        at=trace.at,
        letter_id=uids.needed_id(trace.letter_id) if trace.letter_id else None,
        sender=trace.sender,
        recipient=trace.recipient,
        message_id=trace.message_id,
        peer=trace.peer,
        size=trace.size,
        detail=trace.detail,
        account_id=trace.account_id,
        mailbox_id=trace.mailbox_id,
        uid=trace.uid,
        mailbox=trace.mailbox,
        is_there=trace.is_there,
        dsn=trace.dsn,
        account=trace.account,
    )
