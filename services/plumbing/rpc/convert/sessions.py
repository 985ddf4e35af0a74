"""Processes and sessions as they travel. The rule: an id is the 16 octets of its UUID."""

from uuid import UUID

from restante.v1 import sessions_pb2 as pb

from services.mail.store.sessions import Process, Session
from services.plumbing.rpc.convert import uids


def process_to_wire(process: Process) -> pb.Process:
    """A running process."""
    return pb.Process(process_id=process.process_id.bytes, kind=process.kind, address=process.address)


def process_from_wire(process: pb.Process) -> Process:
    """A running process. Raises InvalidArgument."""
    return Process(uids.needed_id(process.process_id), process.kind, process.address)


def session_to_wire(session: Session) -> pb.Session:
    """A logged-in connection."""
    return pb.Session(
        session_id=session.session_id.bytes,
        account_id=session.account_id,
        door=session.door,
        peer=session.peer,
        opened_at=session.opened_at,
        mailbox_id=session.mailbox_id,
        expunged_to=session.expunged_to,
        address=session.address,
    )


def session_from_wire(session: pb.Session) -> Session:
    """A logged-in connection. Raises InvalidArgument."""
    return Session(
        session_id=uids.needed_id(session.session_id),
        account_id=session.account_id,
        door=session.door,
        peer=session.peer,
        opened_at=session.opened_at,
        mailbox_id=session.mailbox_id,
        expunged_to=session.expunged_to,
        address=session.address,
    )


def uuids_from_wire(ids: list[bytes]) -> tuple[UUID, ...]:
    """Ids in their order. Raises InvalidArgument."""
    return tuple(uids.needed_id(octets) for octets in ids)
