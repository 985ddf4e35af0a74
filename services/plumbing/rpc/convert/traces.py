"""Traces as they travel."""

from typing import Any, Final

from restante.v1 import traces_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.traces import Trace, TraceKind
from services.plumbing.rpc.convert import uids

# What has the same name and form on both sides.
_SAME: Final = (
    "at", "sender", "recipient", "message_id", "peer", "size", "detail", "account_id", "mailbox_id", "uid", "mailbox",
    "is_there", "dsn", "account",
)  # fmt: skip


def trace_to_wire(trace: Trace) -> pb.Trace:
    """What became of a letter."""
    return pb.Trace(
        kind=pb.TraceKind.ValueType(trace.kind.value),
        letter_id=trace.letter_id.bytes if trace.letter_id else b"",
        **_same(trace),
    )


def trace_from_wire(trace: pb.Trace) -> Trace:
    """What became of a letter. Raises InvalidArgument."""
    try:
        kind = TraceKind(trace.kind)
    except ValueError:
        raise InvalidArgument("a trace has a kind") from None
    letter_id = uids.needed_id(trace.letter_id) if trace.letter_id else None
    return Trace(kind=kind, letter_id=letter_id, **_same(trace))


def _same(trace: Trace | pb.Trace) -> dict[str, Any]:
    return {name: getattr(trace, name) for name in _SAME}
