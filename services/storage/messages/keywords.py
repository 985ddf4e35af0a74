"""The keywords of each account: names to bits, and numbers for new names.

The rule: a number, once given, never changes its meaning; so what a process remembers can be short, but never wrong.
"""

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from services.mail.errors import LimitExceeded
from services.mail.store.flags import FIRST_KEYWORD_BIT, MAX_KEYWORDS, canonical_flag, flag_bits
from services.storage.arrays import Texts
from services.storage.messages import statements
from services.storage.transaction import Database

# Keywords from this number on have no bit in a block's flags.
FIRST_LATE: Final = 64 - FIRST_KEYWORD_BIT
_REMEMBERED_ACCOUNTS: Final = 2_000


class Keywords:
    """Names and numbers; those of the accounts that were asked last are remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    async def bits(self, account_id: int, names: Collection[str], is_adding: bool) -> int:
        """The flags of the names; unknown ones get a number, also where they are only taken away.

        So a session that names a keyword can tell its client of it. Where all numbers are given, unknown ones are left
        out, or refused where `is_adding`. Raises InvalidArgument, LimitExceeded.
        """
        canonical = [canonical_flag(name) for name in names]
        bits, unknown = flag_bits(canonical, self._known.get(account_id, ()))
        if unknown:
            bits, unknown = flag_bits(canonical, await self._read(account_id))
        if unknown:
            values = {"account_id": account_id, "names": Texts(unknown), "limit": MAX_KEYWORDS}
            await self._database.transact([account_id], (statements.ADD_KEYWORDS, values))
            bits, unknown = flag_bits(canonical, names := await self._read(account_id))
            if unknown and is_adding and len(names) + len(unknown) > MAX_KEYWORDS:
                raise LimitExceeded(f"an account has at most {MAX_KEYWORDS} keywords")
        return bits

    async def _read(self, account_id: int) -> tuple[str, ...]:
        rows = await self._database.read(statements.KEYWORDS, {"account_id": account_id})
        names = tuple(row[0] for row in rows)
        self._known[account_id] = names
        self._known.move_to_end(account_id)
        while len(self._known) > _REMEMBERED_ACCOUNTS:
            self._known.popitem(last=False)
        return names


def signed(mask: int) -> int:
    """64 bits as SQL's bigint has them."""
    low = mask & (2**64 - 1)
    return low - 2**64 if low >= 2**63 else low


def split(flags: int) -> tuple[int, tuple[int, ...]]:
    """Flags as a block keeps them: a signed bigint, and the numbers of the late keywords."""
    late: list[int] = []
    rest = flags >> 64
    while rest:
        number = (rest & -rest).bit_length() - 1
        late.append(FIRST_LATE + number)
        rest &= rest - 1
    return signed(flags), tuple(late)


def join(flags: int, more: dict[str, int] | None, element: int) -> int:
    """The flags of a block's element (counted from 0) as the port has them."""
    joined = flags & (2**64 - 1)
    for number, mask in (more or {}).items():
        if mask >> element & 1:
            joined |= 1 << (FIRST_KEYWORD_BIT + int(number))
    return joined
