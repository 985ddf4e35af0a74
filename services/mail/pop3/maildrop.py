"""The maildrop as one session sees it: numbers fixed at login, and what is marked as deleted. RFC 1939 §5.

Rule: a number means the same message from login to QUIT, whatever others do meanwhile.
"""

from array import array
from collections.abc import Iterator, Sequence

from services.mail.errors import MessageGone
from services.mail.store.uids import Runs, runs_of


class Maildrop:
    """Messages by number from 1. uid_validity: the mailbox's, part of each unique id of our own making.

    knows_unique_ids: those that were kept from elsewhere are all here.
    """

    __slots__ = ("_kept_ids", "_marked", "_sizes", "_uids", "knows_unique_ids", "octets", "uid_validity")

    def __init__(self, uid_validity: int) -> None:
        self.uid_validity = uid_validity
        self.octets = 0
        self.knows_unique_ids = False
        self._uids = array("L")
        self._sizes = array("Q")
        self._marked: set[int] = set()
        self._kept_ids: dict[int, bytes] = {}

    def add(self, uids: Sequence[int], sizes: Sequence[int]) -> None:
        """Numbers further messages, ascending by uid. sizes: octets."""
        self._uids.extend(uids)
        self._sizes.extend(sizes)
        self.octets += sum(sizes)

    def keep_unique_id(self, uid: int, unique_id: bytes) -> None:
        """What UIDL tells of a message that came from elsewhere, where it was told so. RFC 1939 §7."""
        self._kept_ids[uid] = unique_id

    def __len__(self) -> int:
        """How many messages are not marked."""
        return len(self._uids) - len(self._marked)

    def uid(self, number: int) -> int:
        """Raises MessageGone: no such number, or marked as deleted."""
        self._check(number)
        return self._uids[number - 1]

    def size(self, number: int) -> int:
        """Octets. Raises MessageGone."""
        self._check(number)
        return self._sizes[number - 1]

    def unique_id(self, number: int) -> bytes:
        """What UIDL tells: at most 70 characters, never another message's. RFC 1939 §7. Raises MessageGone."""
        uid = self.uid(number)
        return self._kept_ids.get(uid) or b"%d.%d" % (self.uid_validity, uid)

    def numbers(self) -> Iterator[int]:
        """Those not marked, ascending."""
        return (number for number in range(1, len(self._uids) + 1) if number not in self._marked)

    def has(self, number: int) -> bool:
        """Whether there is a message of this number that is not marked."""
        return 1 <= number <= len(self._uids) and number not in self._marked

    def mark(self, number: int) -> None:
        """Marks as deleted. Raises MessageGone."""
        self._check(number)
        self._marked.add(number)
        self.octets -= self._sizes[number - 1]

    def unmark_all(self) -> None:
        """RSET: nothing is marked."""
        self.octets += sum(self._sizes[number - 1] for number in self._marked)
        self._marked.clear()

    def marked(self) -> Runs:
        """The uids to remove at QUIT."""
        return runs_of(self._uids[number - 1] for number in sorted(self._marked))

    def _check(self, number: int) -> None:
        if not 1 <= number <= len(self._uids):
            raise MessageGone("no such message")
        if number in self._marked:
            raise MessageGone("message is deleted")
