"""Changes as they travel. The rule: the numbers of the kinds are the port's own."""

from restante.v1 import changes_pb2 as pb

from services.mail.store.changes import Change, ChangeKind
from services.plumbing.rpc.convert import uids


def change_to_wire(change: Change) -> pb.Change:
    """One row of the log."""
    return pb.Change(
        account_id=change.account_id,
        modseq=change.modseq,
        mailbox_id=change.mailbox_id,
        kind=pb.ChangeKind.ValueType(change.kind.value),
        uids=uids.runs_to_wire(change.uids) if change.uids else None,
    )


def change_from_wire(change: pb.Change) -> Change:
    """One row of the log."""
    return Change(
        change.account_id,
        change.modseq,
        change.mailbox_id,
        ChangeKind(change.kind),
        uids.runs_from_wire(change.uids),
    )
