"""One letter on its way in: sender, recipients, content, and its delivery. RFC 5321 §3.3, §6.1.

It knows what a letter has collected so far. The rule: it is delivered under one request id, so that however often the
delivery is tried, the letter is stored once.
"""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import uuid4

from services.mail.errors import LimitExceeded, MailError, MailLoop
from services.mail.smtp.commands import Mail, Rcpt
from services.mail.smtp.paths import Path
from services.mail.store import Store
from services.mail.store.accounts import Recipient
from services.mail.store.deliveries import MOST_ADDRESSEES, Addressee, Delivered, Letter, Mode
from services.mail.store.mailboxes import MailboxKey
from services.mail.store.messages import INLINE_OCTETS
from services.smtp.trace import Origin, trace
from services.smtp.upload import Upload

MOST_HOPS: Final = 100


class IncomingLetter:
    """What MAIL began. size: octets of content so far; id: what the trace header, the log and our 250 call it."""

    def __init__(self, mail: Mail, origin: Origin, store: Store, mode: Mode = Mode.ALL) -> None:
        self.mail = mail
        self.size = 0
        self._request_id = uuid4()
        self.id = self._request_id.hex
        self._origin = origin
        self._store = store
        self._mode = mode
        self._recipients: dict[MailboxKey, Rcpt] = {}
        self._accepted: list[tuple[Path, Sequence[MailboxKey]]] = []
        self._chunks: list[bytes] = []
        self._upload: Upload | None = None

    @property
    def recipients(self) -> int:
        """How many copies it makes."""
        return len(self._recipients)

    @property
    def paths(self) -> Sequence[Path]:
        """The recipients that were taken, in the order of their commands."""
        return [path for path, _ in self._accepted]

    def refusals(self, delivered: Delivered) -> list[MailError | None]:
        """For each of `paths`: why one of its copies was not stored; None where all were."""
        outcomes = dict(zip(self._recipients, delivered.outcomes, strict=True))
        return [
            next((found for key in keys if isinstance(found := outcomes[key], MailError)), None)
            for _, keys in self._accepted
        ]

    def add_recipients(self, command: Rcpt, recipients: Sequence[Recipient]) -> None:
        """Adds a copy for each; two addresses that reach one mailbox make one copy, named by the first.

        Raises LimitExceeded, and adds none, where a letter would have more copies than one transaction makes.
        """
        keys = [MailboxKey(each.account_id, each.mailbox_id) for each in recipients]
        if len(self._recipients.keys() | keys) > MOST_ADDRESSEES:
            raise LimitExceeded
        for key in keys:
            self._recipients.setdefault(key, command)
        self._accepted.append((command.recipient, keys))

    async def add(self, chunk: bytes) -> None:
        """Takes the next octets of the content; what is too large to be held goes on to the store. Raises MailLoop."""
        self.size += len(chunk)
        if self._upload is not None:
            await self._upload.put(chunk)
            return
        self._chunks.append(chunk)
        if self.size > INLINE_OCTETS:
            chunks, self._chunks = self._chunks, []
            self._refuse_loop(b"".join(chunks))
            self._upload = Upload(self._deliver_stream)
            for held in chunks:
                await self._upload.put(held)

    async def deliver(self) -> Delivered:
        """Stores the letter for all its recipients; it is durable when this returns. Raises MailError."""
        if self._upload is not None:
            return await self._upload.finish()
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._refuse_loop(body)
        return await self._store.deliveries.deliver(
            Letter(self._request_id, self._addressees(), body, len(body), self._mode)
        )

    async def abandon(self) -> None:
        """Forgets the content, and ends a delivery that is under way."""
        self._chunks.clear()
        if self._upload is not None:
            upload, self._upload = self._upload, None
            await upload.abandon()

    async def _deliver_stream(self, body: AsyncIterator[bytes]) -> Delivered:
        return await self._store.deliveries.deliver(
            Letter(self._request_id, self._addressees(), body, mode=self._mode)
        )

    def _addressees(self) -> list[Addressee]:
        now = int(time.time())
        return [
            Addressee(
                key,
                trace(self._origin, self.mail.sender, each.recipient, self.id, now),
                dsn=f"{self.mail.dsn} {each.dsn}".strip(),
            )
            for key, each in self._recipients.items()
        ]

    @staticmethod
    def _refuse_loop(beginning: bytes) -> None:
        if hops(beginning) > MOST_HOPS:
            raise MailLoop


def hops(beginning: bytes) -> int:
    """How many Received lines a header has. RFC 5321 §6.3. They stand on top: the beginning is enough."""
    end = beginning.find(b"\r\n\r\n")
    header = (beginning if end < 0 else beginning[:end]).lower()
    return header.count(b"\r\nreceived:") + header.startswith(b"received:")
