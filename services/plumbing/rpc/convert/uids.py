"""Uids, flags and ids as they travel.

The rule: flags are Python integers without bound; what exceeds 64 bits of a row travels beside its column.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import gt, le
from typing import Final
from uuid import UUID

from restante.v1 import mailboxes_pb2, uids_pb2

from services.mail.errors import InvalidAddress, InvalidArgument, InvalidName
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.uids import FULL, Runs, normalise

_LOW_BITS: Final = 64


def runs_to_wire(runs: Runs) -> uids_pb2.Runs:
    """Runs as their bounds."""
    return uids_pb2.Runs(bounds=chain.from_iterable(runs))


def runs_from_wire(runs: uids_pb2.Runs) -> Runs:
    """Runs of an answer."""
    bounds = iter(runs.bounds)
    return tuple(zip(bounds, bounds, strict=True))


def asked_runs(runs: uids_pb2.Runs) -> Runs:
    """Runs of a request. Raises InvalidArgument."""
    bounds = list(runs.bounds)
    if len(bounds) % 2 or 0 in bounds:
        raise InvalidArgument("runs are pairs of uids from 1 on")
    firsts, lasts = bounds[::2], bounds[1::2]
    pairs = zip(firsts, lasts, strict=True)
    if all(map(le, firsts, lasts)) and all(map(gt, firsts[1:], [last + 1 for last in lasts])):
        return tuple(pairs)
    return normalise(pairs)


def flags_to_wire(flags: Sequence[int]) -> tuple[Sequence[int], Sequence[uids_pb2.HighFlags]]:
    """The column of the low 64 bits, and the rows that have more."""
    if max(flags, default=0) <= FULL:
        return flags, ()
    high = [
        uids_pb2.HighFlags(row=row, bits=octets_of(bits >> _LOW_BITS))
        for row, bits in enumerate(flags)
        if bits > FULL
    ]
    return [bits & FULL for bits in flags], high


def octets_of(bits: int) -> bytes:
    """A non-negative integer, little-endian, as short as can be."""
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def flags_from_wire(low: Iterable[int], high: Iterable[uids_pb2.HighFlags]) -> tuple[int, ...]:
    """The column whole."""
    flags = list(low)
    for row in high:
        flags[row.row] |= int.from_bytes(row.bits, "little") << _LOW_BITS
    return tuple(flags)


def key_to_wire(key: MailboxKey) -> mailboxes_pb2.MailboxKey:
    """What names a mailbox."""
    return mailboxes_pb2.MailboxKey(account_id=key.account_id, mailbox_id=key.mailbox_id)


def key_from_wire(key: mailboxes_pb2.MailboxKey) -> MailboxKey:
    """What names a mailbox."""
    return MailboxKey(key.account_id, key.mailbox_id)


def id_to_wire(request_id: UUID | None) -> bytes:
    """A request id's 16 octets, or none."""
    return request_id.bytes if request_id is not None else b""


def optional_id(octets: bytes) -> UUID | None:
    """A request id, or None for none. Raises InvalidArgument."""
    return needed_id(octets) if octets else None


def needed_id(octets: bytes) -> UUID:
    """The UUID of 16 octets. Raises InvalidArgument."""
    if len(octets) != 16:
        raise InvalidArgument("an id is the 16 octets of a UUID")
    return UUID(bytes=octets)


def name_to_wire(name: str) -> str:
    """A mailbox name that can travel. Raises InvalidName for lone surrogates, as canonical_name does."""
    if not name.isascii() and any("\ud800" <= char <= "\udfff" for char in name):
        raise InvalidName("a mailbox name is Unicode text")
    return name


def address_to_wire(address: str) -> str:
    """An address that can travel. Raises InvalidAddress for lone surrogates."""
    if not address.isascii() and any("\ud800" <= char <= "\udfff" for char in address):
        raise InvalidAddress("an address is Unicode text")
    return address
