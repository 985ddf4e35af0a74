"""Letters that wait to be stored, and a batch of them as the arrays of one statement.

The rule: letters of a batch are numbered from 1 as PostgreSQL's arrays are, and a (letter, account) pair is what a
request id belongs to.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.mail.store.mailboxes import MailboxKey
from services.storage.arrays import Bigints, Blobs, Uuids
from services.storage.deliveries.statements import NOW, STORED


@dataclass(frozen=True, slots=True)
class Content:
    """A letter's octets as they are stored, and what the parser found. Either `octets` or an upload holds them.

    size: octets. header: octets up to and with the empty line. The rest is `services.mail.mime`'s.
    """

    size: int
    header: int
    encoding: int
    envelope: bytes
    structure: bytes
    parts: bytes
    digest: bytes
    octets: bytes | None
    upload_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class LetterCopy:
    """One copy that is to be made. more_keywords: numbers of keywords that have no bit in a block's flags."""

    mailbox: MailboxKey
    head: bytes
    flags: int
    more_keywords: tuple[int, ...] = ()
    dsn: str = ""


@dataclass(slots=True)
class Outcome:
    """What became of one copy. code: see `statements`."""

    code: int
    uid_validity: int = 0
    uid: int = 0
    modseq: int = 0
    previous_modseq: int = 0
    is_repeated: bool = False


@dataclass(slots=True)
class Waiting:
    """A letter with its copies. is_whole: all of them, or none. internal_at: None is now."""

    request_id: UUID
    copies: Sequence[LetterCopy]
    content: Content
    is_whole: bool
    internal_at: int | None = None
    accounts: tuple[int, ...] = field(init=False)
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        self.accounts = tuple(sorted({copy.mailbox.account_id for copy in self.copies}))
        self.weight = sum(len(copy.head) for copy in self.copies) + len(self.content.octets or b"")

    def is_apart(self, accounts: Collection[int]) -> bool:
        """Whether none of the letter's accounts is one of these."""
        return not any(account_id in accounts for account_id in self.accounts)


def parameters(letters: Sequence[Waiting], *, is_passing: bool, is_alone: bool) -> dict[str, Any]:
    """The arrays of DELIVER."""
    account_ids, mailbox_ids, letter_nos, pair_nos = Bigints(), Bigints(), Bigints(), Bigints()
    flags, sizes, heads, dsns = Bigints(), Bigints(), Blobs(), Blobs()
    pair_accounts, pair_requests = Bigints(), Uuids()
    for number, letter in enumerate(letters, 1):
        pairs: dict[int, int] = {}
        for account_id in letter.accounts:
            pair_accounts.append(account_id)
            pair_requests.append(letter.request_id)
            pairs[account_id] = len(pair_accounts)
        size = letter.content.size
        for copy in letter.copies:
            account_ids.append(copy.mailbox.account_id)
            mailbox_ids.append(copy.mailbox.mailbox_id)
            letter_nos.append(number)
            pair_nos.append(pairs[copy.mailbox.account_id])
            flags.append(copy.flags)
            sizes.append(size + len(copy.head))
            heads.append(copy.head)
            dsns.append(copy.dsn.encode() or None)
    boxes = sorted({copy.mailbox for letter in letters for copy in letter.copies})
    contents = [letter.content for letter in letters]
    return {
        "account_ids": account_ids,
        "mailbox_ids": mailbox_ids,
        "letter_nos": letter_nos,
        "pair_nos": pair_nos,
        "flags": flags,
        "sizes": sizes,
        "heads": heads,
        "dsns": dsns,
        "pair_accounts": pair_accounts,
        "pair_requests": pair_requests,
        "accounts": Bigints(sorted(set(account_ids))),
        "box_accounts": Bigints([box.account_id for box in boxes]),
        "box_mailboxes": Bigints([box.mailbox_id for box in boxes]),
        "are_whole": Bigints([int(letter.is_whole) for letter in letters]),
        "internal_ats": Bigints([NOW if each.internal_at is None else each.internal_at for each in letters]),
        "headers": Bigints([each.header for each in contents]),
        "encodings": Bigints([each.encoding for each in contents]),
        "envelopes": Blobs([each.envelope for each in contents]),
        "structures": Blobs([each.structure for each in contents]),
        "parts": Blobs([each.parts for each in contents]),
        "hashes": Blobs([each.digest for each in contents]),
        "contents": Blobs([each.octets for each in contents]),
        "upload_ids": Uuids([each.upload_id for each in contents]),
        "has_uploads": any(each.upload_id is not None for each in contents),
        "is_passing": is_passing,
        "is_alone": is_alone,
    }


def outcomes(letters: Sequence[Waiting], rows: Sequence[Sequence[Any]]) -> list[list[Outcome]]:
    """The rows of DELIVER, by letter."""
    found: list[list[Outcome]] = []
    position = 0
    for letter in letters:
        end = position + len(letter.copies)
        found.append(_outcomes(rows[position:end]))
        position = end
    return found


def _outcomes(rows: Sequence[Sequence[Any]]) -> list[Outcome]:
    """What became of the copies of one letter. An answer has those of its pair, in their order."""
    found: list[Outcome] = []
    told: dict[int, int] = {}
    for code, uid_validity, uid, modseq, previous_modseq, pair_no, answer in rows:
        if answer:
            ordinal = told[pair_no] = told.get(pair_no, -1) + 1
            outcome = Outcome(*answer[ordinal])
            outcome.is_repeated = True
            found.append(outcome)
        elif code == STORED:
            found.append(Outcome(code, uid_validity, uid, modseq, previous_modseq))
        else:
            found.append(Outcome(code))
    return found
