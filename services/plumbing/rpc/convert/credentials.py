"""App passwords as they travel. The rule: the secret is in the answer that made it, and nowhere else."""

from restante.v1 import credentials_pb2 as pb

from services.mail.errors import InvalidArgument
from services.mail.store.accounts import Scope
from services.mail.store.credentials import AppPassword
from services.plumbing.rpc.convert.accounts import scopes_from_wire, scopes_to_wire


def app_request(account_id: int, label: str, scopes: Scope, expires_at: int) -> pb.AddAppPasswordRequest:
    """Raises InvalidArgument for what is no text, or no time."""
    try:
        return pb.AddAppPasswordRequest(
            account_id=account_id, label=label, scopes=scopes_to_wire(scopes), expires_at=expires_at
        )
    except ValueError:  # UnicodeEncodeError is one
        raise InvalidArgument("a label is text, and a time fits in 64 bits") from None


def app_to_wire(entry: AppPassword) -> pb.AppPassword:
    """One app password."""
    return pb.AppPassword(
        number=entry.number,
        label=entry.label,
        scopes=scopes_to_wire(entry.scopes),
        created_at=entry.created_at,
        expires_at=entry.expires_at,
        used_at=entry.used_at,
    )


def app_from_wire(entry: pb.AppPassword) -> AppPassword:
    """One app password."""
    return AppPassword(
        entry.number,
        entry.label,
        scopes_from_wire(entry.scopes),
        entry.created_at,
        entry.expires_at,
        entry.used_at,
    )
