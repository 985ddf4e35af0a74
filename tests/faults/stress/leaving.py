"""How a client goes: by LOGOUT, in the middle of a literal, or of an answer.

The rule: nothing that it leaves behind may have an effect, so the ledger is not told of it, and an audit that finds
any of it says so.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.faults.stress import names
from tests.faults.stress.letters import letter

if TYPE_CHECKING:
    from tests.faults.stress.client import Client


async def go(client: Client, chance: random.Random) -> None:
    """Ends the connection in one of the ways. Raises Gone, Violation."""
    await chance.choice((_by_logout, _within_a_literal, _within_an_answer))(client, chance)


async def _by_logout(client: Client, _: random.Random) -> None:
    await client.log_out()
    client.done["LOGOUT"] += 1


async def _within_a_literal(client: Client, chance: random.Random) -> None:
    """A letter of which half has come is none. RFC 9051 §6.3.12."""
    octets = letter(client.next_letter(), chance)
    start = f"half APPEND {names.INBOX} {{{len(octets)}+}}\r\n".encode()
    if "LITERAL+" in client.capabilities:
        await client.write(start + octets[: chance.randrange(len(octets))])
        client.done["(half a literal)"] += 1
    client.drop()


async def _within_an_answer(client: Client, _: random.Random) -> None:
    if client.model is not None:
        await client.write(b"half UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n")
        client.done["(half an answer)"] += 1
    client.drop()
