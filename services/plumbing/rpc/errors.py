"""How refusals and failures cross the wire.

The class name of a refusal travels in the trailer `restante-error`, or in a `Refusal` where no status can go. The rule:
what is not a `MailError` crosses as neutral text; its traceback stays in the log of the side that failed.
"""

from typing import Final

import grpc
from restante.v1 import errors_pb2

from services.mail.errors import BUG, BY_NAME, MailError, StoreUnavailable, wording
from services.plumbing import logs, metrics

log = logs.get(__name__)

NAME: Final = "restante-error"
NOT_TAKEN: Final = "restante-not-taken"
# The leading metadata of an exchange that was let in: a refused one has leading metadata too, empty.
READY: Final = ("restante-ready", "1")
MAX_DETAIL: Final = 500
# What grpc.aio makes of a write on a stream that has just ended.
_BROKEN_WRITE: Final = "Internal error from Core"


class StorageFailed(Exception):
    """The other side met a bug of its own; its log has the traceback."""


class NotTaken(Exception):
    """The call was not begun; another copy, or the same one later, may take it."""


class NotLetIn(Exception):
    """The copy did not open an exchange. code: its status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self.code = code


class LinkLost(Exception):
    """The copy went away before it had answered; whether the call took effect is not known."""


def one_line(detail: str) -> str:
    """The detail as it may travel: one line, valid Unicode, bounded."""
    text = " ".join(detail[:MAX_DETAIL].split())
    return text.encode("utf-8", "replace").decode()


def name_of(error: MailError) -> str:
    """The class of the table that a refusal is, or is a kind of."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in BY_NAME), "")


def to_refusal(error: MailError) -> errors_pb2.Refusal:
    """The refusal as part of an answer."""
    return errors_pb2.Refusal(name=name_of(error), detail=one_line(error.detail))


def from_refusal(refusal: errors_pb2.Refusal) -> Exception:
    """The class that the other side raised; StorageFailed for a name that this side does not know."""
    kind = BY_NAME.get(refusal.name)
    return kind(refusal.detail) if kind else StorageFailed(f"unknown refusal {refusal.name[:40]}")


def status_of(error: Exception) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]:
    """Status code, message and trailers; whatever is no refusal is logged here."""
    if isinstance(error, NotTaken):
        return (
            grpc.StatusCode.UNAVAILABLE,
            "this copy is stopping",
            ((NAME, "StoreUnavailable"), (NOT_TAKEN, "1")),
        )
    if isinstance(error, MailError) and (name := name_of(error)):
        return grpc.StatusCode[wording(error).grpc[0]], one_line(error.detail), ((NAME, name),)
    metrics.bugs.inc()
    log.error("call failed", exc_info=error)
    return grpc.StatusCode[BUG.grpc[0]], BUG.text, ()


def from_status(error: grpc.aio.AioRpcError) -> Exception:
    """What a status means to the caller: the class that the server raised, NotTaken, LinkLost, or StorageFailed."""
    trailers = dict(error.trailing_metadata() or ())
    if NOT_TAKEN in trailers:
        return NotTaken()
    if (kind := BY_NAME.get(str(trailers.get(NAME, "")))) is not None:
        return kind(error.details() or "")
    if error.code() is grpc.StatusCode.INTERNAL and (error.details() or "").startswith(_BROKEN_WRITE):
        return LinkLost("the stream ended while it was written")
    match error.code():
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return LinkLost(error.details() or "")
        case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.RESOURCE_EXHAUSTED:
            return StoreUnavailable("storage did not answer in time")
        case code:
            return StorageFailed(f"storage answered {code.name}: {one_line(error.details() or '')}")
