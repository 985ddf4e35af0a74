"""Ways for a letter into an INBOX besides APPEND: SMTP or LMTP, and gRPC.

The rule: what was not acknowledged is not sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

from services.mail.errors import MailError
from services.mail.store import Store
from services.mail.store.deliveries import Addressee, Letter, Placed
from tests.faults.stress.ledger import Place
from tests.faults.stress.world import Undecided

PATIENCE = 60.0


class NotTaken(Exception):
    """The server answered something else than expected."""


async def send(port: int, greeting: str, recipient: str, letter: bytes) -> None:
    """One letter by SMTP or LMTP; it is the server's when this returns. Raises Undecided."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await _expect(reader, 1)
                writer.write(f"{greeting} faults.test\r\n".encode())
                await _expect(reader, 1)
                writer.write(f"MAIL FROM:<a@faults.test>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
                await _expect(reader, 3)
                writer.write(letter.replace(b"\r\n.", b"\r\n..") + b".\r\n")
                await _expect(reader, 1)
            finally:
                writer.close()
    except (OSError, TimeoutError, NotTaken) as error:
        raise Undecided(str(error)) from None


async def _expect(reader: asyncio.StreamReader, replies: int) -> None:
    while replies:
        line = await reader.readline()
        if line[:1] not in (b"2", b"3"):
            raise NotTaken(line.decode("ascii", "replace"))
        replies -= line[3:4] != b"-"


def by_smtp(port: Callable[[], int], greeting: str, recipient: str) -> Callable[[bytes], Awaitable[None]]:
    """The way of other servers."""

    async def deliver(letter: bytes) -> None:
        await send(port(), greeting, recipient, letter)

    return deliver


def by_grpc(store: Store, address: str) -> Callable[[bytes], Awaitable[Place]]:
    """The way of programs, which are told where the letter is."""

    async def deliver(letter: bytes) -> Place:
        try:
            account = await store.accounts.find_account(address)
            inbox, _ = await store.mailboxes.status(account.account_id, "INBOX")
            delivered = await store.deliveries.deliver(Letter(uuid4(), [Addressee(inbox.key)], letter))
        except MailError as error:
            raise Undecided(error.text) from None
        placed = delivered.outcomes[0]
        if not isinstance(placed, Placed):
            raise Undecided(placed.text)
        return Place(placed.uid_validity, placed.uid)

    return deliver
