"""What the tests of the rules say to a client: commands that it sent, and a server's octets.

The rule: replies pass through the same parser and the same client as in the stress.
"""

from tests.faults.stress.client import Client
from tests.faults.stress.model import Model
from tests.faults.stress.reading import FetchMessages, Idle, Key, Noop, SearchMessages
from tests.faults.stress.replies import parse
from tests.faults.stress.requests import Request
from tests.faults.stress.selecting import Select
from tests.faults.stress.world import User, World
from tests.faults.stress.writing import Copy, Expunge, StoreFlags

UIDS = (2, 4, 6, 8, 9)
OPENED = (
    "* 5 EXISTS",
    "* 0 RECENT",
    "* OK [UIDVALIDITY 7] ",
    "* OK [UIDNEXT 10] ",
    "* OK [HIGHESTMODSEQ 50] ",
)


def client_of(world: World, number: int = 1, extension: str = "") -> Client:
    """A client that is not connected."""
    client = Client(number, world, world.users[0], "seed")
    client.extension, client.capabilities = extension, frozenset({"IMAP4rev1", "CONDSTORE", "QRESYNC"})
    return client


def a_world() -> World:
    """One account, no server."""
    return World(lambda: [0], [User("alice", "secret")])


def begin(client: Client, request: Request, tag: str = "t") -> None:
    """A command that was sent."""
    request.tag = tag
    request.sent(client)
    client.inflight.append(request)


def hear(client: Client, *lines: str) -> None:
    """What the server says."""
    for line in lines:
        client.take(parse(line.encode() + b"\r\n"))


def opened(
    world: World, number: int = 1, name: str = "INBOX", is_writable: bool = True, extension: str = ""
) -> tuple[Client, Model]:
    """A client with a mailbox of five messages, whose uids and flags it knows."""
    client = client_of(world, number, extension)
    begin(client, Select(name, is_writable))
    hear(client, *OPENED, f"t OK [{'READ-WRITE' if is_writable else 'READ-ONLY'}] done")
    assert client.model is not None
    hear(client, *(f"* {n} FETCH (UID {uid} FLAGS (\\Seen) MODSEQ (30))" for n, uid in enumerate(UIDS, 1)))
    return client, client.model


def request_of(kind: str, model: Model) -> Request:
    """A command by name."""
    some, are_uids = model.messages[:2], kind.startswith("UID")
    flags = frozenset({"\\Flagged"})
    made: dict[str, Request] = {
        "FETCH": FetchMessages(model, some, are_uids),
        "STORE": StoreFlags(model, some, are_uids, "+", flags, False),
        "SEARCH": SearchMessages(model, Key("ALL"), are_uids, False, False),
        "COPY": Copy(model, some, are_uids, "Work"),
        "NOOP": Noop(),
        "IDLE": Idle(0),
        "EXPUNGE": Expunge(model),
    }
    return made[kind.removeprefix("UID ")]
