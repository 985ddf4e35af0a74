"""BINARY of parts too large to travel with their page. RFC 9051 §6.4.5. The store is in memory."""

import base64

import pytest

from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import Client, expect, hear

OCTETS = bytes(range(256)) * 3000
HEADER = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
PART = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
LETTER = HEADER + PART + base64.encodebytes(OCTETS).replace(b"\n", b"\r\n") + b"--b--\r\n"


async def literal(client: Client, command: bytes, before: str) -> bytes:
    """The literal of the only answer."""
    client.send(b"a %b\r\n" % command)
    line = await hear(client)
    assert line.startswith(f"* 1 FETCH ({before} ~{{"), line
    size, octets = int(line[:-1].rpartition("{")[2]), b""
    while len(octets) < size + 3:
        more = await client.line()
        assert more, f"the connection ended after {len(octets)} of {size} octets"
        octets += more
    assert octets[size:] == b")\r\n"
    await expect(client, "a OK ...")
    return octets[:size]


@pytest.mark.parametrize(
    "part", [(0, len(OCTETS)), (5, 10), (300_000, 400_000), (767_990, 500), (800_000, 9)]
)
async def test_a_large_part_is_decoded_on_its_way(part: tuple[int, int]) -> None:
    """Its size is told first, so it is read twice, and never held."""
    store = MemoryStore()
    await dialogues.prepare(store, ["alice"])
    account = await store.accounts.find_account("alice@example.org")
    inbox = (await store.mailboxes.status(account.account_id, "INBOX"))[0].key
    await store.messages.append(inbox, LETTER, len(LETTER))
    async with dialogues.door(store) as door, dialogues.over_socket(door) as client:
        client.send(b'l LOGIN alice@example.org "%b"\r\ns EXAMINE INBOX\r\n' % dialogues.PASSWORD)
        while not (await hear(client)).startswith("s OK"):
            continue
        first, count = part
        command = b"FETCH 1 BINARY.PEEK[1]<%d.%d>" % part
        assert await literal(client, command, f"BINARY[1]<{first}>") == OCTETS[first : first + count]
        client.send(b"b FETCH 1 (BINARY.SIZE[1] UID)\r\n")
        await expect(client, f"* 1 FETCH (UID 1 BINARY.SIZE[1] {len(OCTETS)})")
        await expect(client, "b OK ...")
