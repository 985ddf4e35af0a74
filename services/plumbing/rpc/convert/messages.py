"""Messages as they travel.

The rule: a page goes as slices of at most `SLICE_OCTETS` or one row, so that nothing on a stream waits long behind it.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from restante.v1 import messages_pb2 as pb
from restante.v1 import sessions_pb2

from services.mail.errors import InvalidArgument
from services.mail.store.messages import Appended, Copied, Expunged, FlagChange, Items, Page, Stored
from services.mail.store.sessions import MaildropLock
from services.plumbing.rpc.convert import uids
from services.plumbing.rpc.convert.mailboxes import PART_ROWS, part_starts
from services.plumbing.rpc.frames import octets_fields

SLICE_OCTETS: Final = 240 * 1024
# What a row's numbers take at most: uid, flags, modseq, date, size, head.
_ROW_OCTETS: Final = 48

_ITEMS: Final = {
    Items.FLAGS: pb.FETCH_ITEM_FLAGS,
    Items.INTERNALDATE: pb.FETCH_ITEM_INTERNALDATE,
    Items.SIZE: pb.FETCH_ITEM_SIZE,
    Items.ENVELOPE: pb.FETCH_ITEM_ENVELOPE,
    Items.STRUCTURE: pb.FETCH_ITEM_STRUCTURE,
    Items.PARTS: pb.FETCH_ITEM_PARTS,
    Items.HEADER: pb.FETCH_ITEM_HEADER,
    Items.BODY: pb.FETCH_ITEM_BODY,
    Items.MODSEQ: pb.FETCH_ITEM_MODSEQ,
}
_ITEMS_BY_NUMBER: Final[dict[int, Items]] = {number: item for item, number in _ITEMS.items()}

_CHANGES: Final = {
    FlagChange.REPLACE: pb.FLAG_CHANGE_REPLACE,
    FlagChange.ADD: pb.FLAG_CHANGE_ADD,
    FlagChange.REMOVE: pb.FLAG_CHANGE_REMOVE,
}
_CHANGES_BY_NUMBER: Final[dict[int, FlagChange]] = {number: change for change, number in _CHANGES.items()}


def items_to_wire(items: Items) -> list[pb.FetchItem.ValueType]:
    """What a fetch brings."""
    return [number for item, number in _ITEMS.items() if item in items]


def items_from_wire(numbers: Sequence[int]) -> Items:
    """What a fetch brings. Raises InvalidArgument."""
    items = Items(0)
    for number in numbers:
        if number not in _ITEMS_BY_NUMBER:
            raise InvalidArgument(f"no such item: {number}")
        items |= _ITEMS_BY_NUMBER[number]
    return items


def change_to_wire(change: FlagChange) -> pb.FlagChange.ValueType:
    """What STORE does with its flags."""
    return _CHANGES[change]


def change_from_wire(number: int) -> FlagChange:
    """What STORE does with its flags. Raises InvalidArgument."""
    if number not in _CHANGES_BY_NUMBER:
        raise InvalidArgument(f"no such change: {number}")
    return _CHANGES_BY_NUMBER[number]


def page_to_wire(page: Page) -> Iterator[bytes]:
    """The page's slices, each an encoded FetchResponse; none for a page without rows.

    Headers and bodies are written by hand: one copy of the octets instead of four.
    """
    for rows in page_slices(page):
        bodies = page.bodies[rows]
        low, high = uids.flags_to_wire(page.flags[rows])
        small = pb.FetchResponse(
            uids=page.uids[rows],
            flags=low,
            high_flags=high,
            modseqs=page.modseqs[rows],
            internal_at=page.internal_at[rows],
            sizes=page.sizes[rows],
            envelopes=page.envelopes[rows],
            structures=page.structures[rows],
            parts=page.parts[rows],
            heads=page.heads[rows],
            large_rows=[row for row, body in enumerate(bodies) if body is None] if None in bodies else (),
            keywords=page.keywords,
        )
        yield b"".join(
            (
                small.SerializeToString(),
                *octets_fields(pb.FetchResponse.HEADERS_FIELD_NUMBER, page.headers[rows]),
                *octets_fields(pb.FetchResponse.BODIES_FIELD_NUMBER, (body or b"" for body in bodies)),
            )
        )


def page_slices(page: Page) -> list[slice]:
    """Rows that go together: at most SLICE_OCTETS, or one row."""
    columns: list[Sequence[bytes | None]] = [
        column
        for column in (page.envelopes, page.structures, page.parts, page.headers, page.bodies)
        if column
    ]
    widths = [_ROW_OCTETS] * len(page.uids)
    for column in columns:
        widths = [width + len(octets or b"") for width, octets in zip(widths, column, strict=True)]
    slices: list[slice] = []
    start = size = 0
    for row, width in enumerate(widths):
        if size + width > SLICE_OCTETS and row > start:
            slices.append(slice(start, row))
            start, size = row, 0
        size += width
    if start < len(widths):
        slices.append(slice(start, len(widths)))
    return slices


def page_from_wire(page: pb.FetchResponse) -> Page:
    """A slice is a page to whoever asked."""
    bodies: tuple[bytes | None, ...] = tuple(page.bodies)
    if page.large_rows:
        large = set(page.large_rows)
        bodies = tuple(None if row in large else body for row, body in enumerate(bodies))
    return Page(
        uids=tuple(page.uids),
        flags=uids.flags_from_wire(page.flags, page.high_flags),
        modseqs=tuple(page.modseqs),
        internal_at=tuple(page.internal_at),
        sizes=tuple(page.sizes),
        envelopes=tuple(page.envelopes),
        structures=tuple(page.structures),
        parts=tuple(page.parts),
        heads=tuple(page.heads),
        headers=tuple(page.headers),
        bodies=bodies,
        keywords=tuple(page.keywords),
    )


def appended_to_wire(appended: Appended) -> pb.AppendResponse:
    """Where the message is."""
    return pb.AppendResponse(
        uid_validity=appended.uid_validity,
        uid=appended.uid,
        modseq=appended.modseq,
        previous_modseq=appended.previous_modseq,
    )


def appended_from_wire(appended: pb.AppendResponse) -> Appended:
    """Where the message is."""
    return Appended(appended.uid_validity, appended.uid, appended.modseq, appended.previous_modseq)


def stored_to_wire(stored: Stored) -> Iterator[pb.StoreResponse]:
    """Flags after a STORE, in parts."""
    for start in part_starts(stored.uids, stored.changed, stored.modified):
        rows = slice(start, start + PART_ROWS)
        low, high = uids.flags_to_wire(stored.flags[rows])
        part = pb.StoreResponse(
            uids=stored.uids[rows],
            flags=low,
            high_flags=high,
            modseqs=stored.modseqs[rows],
            changed=uids.runs_to_wire(stored.changed[rows]),
            modified=uids.runs_to_wire(stored.modified[rows]),
        )
        if start == 0:
            part.previous_modseq = stored.previous_modseq
            part.highest_modseq = stored.highest_modseq
            part.keywords.extend(stored.keywords)
        yield part


def stored_from_wire(parts: Sequence[pb.StoreResponse]) -> Stored:
    """Flags after a STORE, whole again."""
    return Stored(
        uids=tuple(chain.from_iterable(part.uids for part in parts)),
        flags=tuple(chain.from_iterable(uids.flags_from_wire(part.flags, part.high_flags) for part in parts)),
        modseqs=tuple(chain.from_iterable(part.modseqs for part in parts)),
        changed=tuple(chain.from_iterable(uids.runs_from_wire(part.changed) for part in parts)),
        modified=tuple(chain.from_iterable(uids.runs_from_wire(part.modified) for part in parts)),
        previous_modseq=parts[0].previous_modseq,
        highest_modseq=parts[0].highest_modseq,
        keywords=tuple(parts[0].keywords),
    )


def copied_to_wire(copied: Copied) -> pb.CopyResponse:
    """Sources and their copies."""
    return pb.CopyResponse(
        uid_validity=copied.uid_validity,
        sources=uids.runs_to_wire(copied.sources),
        targets=uids.runs_to_wire(copied.targets),
    )


def moved_to_wire(moved: Copied) -> pb.MoveResponse:
    """What was here, and where it is now."""
    return pb.MoveResponse(
        uid_validity=moved.uid_validity,
        sources=uids.runs_to_wire(moved.sources),
        targets=uids.runs_to_wire(moved.targets),
    )


def copied_from_wire(copied: pb.CopyResponse | pb.MoveResponse) -> Copied:
    """Sources and their copies, or what they have become."""
    return Copied(
        copied.uid_validity, uids.runs_from_wire(copied.sources), uids.runs_from_wire(copied.targets)
    )


def expunged_to_wire(expunged: Expunged) -> pb.ExpungeResponse:
    """What went."""
    return pb.ExpungeResponse(
        uids=uids.runs_to_wire(expunged.uids),
        previous_modseq=expunged.previous_modseq,
        highest_modseq=expunged.highest_modseq,
    )


def expunged_from_wire(expunged: pb.ExpungeResponse) -> Expunged:
    """What went."""
    return Expunged(uids.runs_from_wire(expunged.uids), expunged.previous_modseq, expunged.highest_modseq)


def lock_to_wire(lock: MaildropLock) -> sessions_pb2.MaildropLock:
    """An exclusive lock on a maildrop."""
    return sessions_pb2.MaildropLock(account_id=lock.account_id, epoch=lock.epoch)


def lock_from_wire(lock: sessions_pb2.MaildropLock) -> MaildropLock:
    """An exclusive lock on a maildrop."""
    return MaildropLock(lock.account_id, lock.epoch)
