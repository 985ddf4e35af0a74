"""Mailboxes as they travel.

The rule: a `Delta` may be as long as its mailbox and a `Listing` as its account, so they go in parts; each part's
columns are whole in themselves.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from restante.v1 import mailboxes_pb2 as pb

from services.mail.store.mailboxes import Delta, Listing, Mailbox, MailboxStatus, Opened
from services.plumbing.rpc.convert import uids

# Rows, or runs, of a part: about 256 KB at their widest.
PART_ROWS: Final = 12_000
# Names of a part: about 256 KB where they are not unusually long.
PART_NAMES: Final = 1_000


def mailbox_to_wire(mailbox: Mailbox) -> pb.Mailbox:
    """A mailbox's identity."""
    return pb.Mailbox(
        key=uids.key_to_wire(mailbox.key),
        name=mailbox.name,
        uid_validity=mailbox.uid_validity,
        special_use=mailbox.special_use,
        object_id=mailbox.object_id,
    )


def mailbox_from_wire(mailbox: pb.Mailbox) -> Mailbox:
    """A mailbox's identity."""
    return Mailbox(
        uids.key_from_wire(mailbox.key),
        mailbox.name,
        mailbox.uid_validity,
        mailbox.special_use,
        mailbox.object_id,
    )


def status_to_wire(status: MailboxStatus) -> pb.MailboxStatus:
    """A mailbox's counters."""
    return pb.MailboxStatus(
        uid_next=status.uid_next,
        highest_modseq=status.highest_modseq,
        first_recent=status.first_recent,
        messages=status.messages,
        unseen=status.unseen,
        deleted=status.deleted,
        size=status.size,
    )


def status_from_wire(status: pb.MailboxStatus) -> MailboxStatus:
    """A mailbox's counters."""
    return MailboxStatus(
        uid_next=status.uid_next,
        highest_modseq=status.highest_modseq,
        first_recent=status.first_recent,
        messages=status.messages,
        unseen=status.unseen,
        deleted=status.deleted,
        size=status.size,
    )


def opened_to_wire(opened: Opened) -> pb.OpenMailboxResponse:
    """What a view is built of."""
    return pb.OpenMailboxResponse(
        mailbox=mailbox_to_wire(opened.mailbox),
        status=status_to_wire(opened.status),
        blocks=opened.blocks,
        masks=opened.masks,
        keywords=opened.keywords,
        first_recent=opened.first_recent,
        first_unseen=opened.first_unseen,
    )


def opened_from_wire(opened: pb.OpenMailboxResponse) -> Opened:
    """What a view is built of."""
    return Opened(
        mailbox=mailbox_from_wire(opened.mailbox),
        status=status_from_wire(opened.status),
        blocks=tuple(opened.blocks),
        masks=tuple(opened.masks),
        keywords=tuple(opened.keywords),
        first_recent=opened.first_recent,
        first_unseen=opened.first_unseen,
    )


def part_starts(*columns: Sequence[object], size: int = PART_ROWS) -> range:
    """Where each part begins; one part at least."""
    return range(0, max(1, *map(len, columns)), size)


def listing_to_wire(listing: Listing) -> Iterator[pb.ListMailboxesResponse]:
    """A listing, in parts."""
    for start in part_starts(listing.mailboxes, listing.subscribed, size=PART_NAMES):
        rows = slice(start, start + PART_NAMES)
        yield pb.ListMailboxesResponse(
            mailboxes=map(mailbox_to_wire, listing.mailboxes[rows]),
            subscribed=listing.subscribed[rows],
            statuses=map(status_to_wire, listing.statuses[rows]),
        )


def listing_from_wire(parts: Sequence[pb.ListMailboxesResponse]) -> Listing:
    """A listing, whole again."""
    return Listing(
        mailboxes=tuple(mailbox_from_wire(each) for part in parts for each in part.mailboxes),
        subscribed=tuple(chain.from_iterable(part.subscribed for part in parts)),
        statuses=tuple(status_from_wire(each) for part in parts for each in part.statuses),
    )


def delta_to_wire(delta: Delta) -> Iterator[pb.SyncResponse]:
    """What happened, in parts."""
    for start in part_starts(delta.uids, delta.added, delta.expunged):
        rows = slice(start, start + PART_ROWS)
        low, high = uids.flags_to_wire(delta.flags[rows])
        part = pb.SyncResponse(
            added=uids.runs_to_wire(delta.added[rows]),
            expunged=uids.runs_to_wire(delta.expunged[rows]),
            uids=delta.uids[rows],
            flags=low,
            high_flags=high,
            modseqs=delta.modseqs[rows],
        )
        if start == 0:
            part.status.CopyFrom(status_to_wire(delta.status))
            part.keywords.extend(delta.keywords)
        yield part


def delta_from_wire(parts: Sequence[pb.SyncResponse]) -> Delta:
    """What happened, whole again."""
    return Delta(
        status=status_from_wire(parts[0].status),
        added=tuple(chain.from_iterable(uids.runs_from_wire(part.added) for part in parts)),
        expunged=tuple(chain.from_iterable(uids.runs_from_wire(part.expunged) for part in parts)),
        uids=tuple(chain.from_iterable(part.uids for part in parts)),
        flags=tuple(chain.from_iterable(uids.flags_from_wire(part.flags, part.high_flags) for part in parts)),
        modseqs=tuple(chain.from_iterable(part.modseqs for part in parts)),
        keywords=tuple(parts[0].keywords),
    )
