"""Both servers, and a dialogue played to one of them.

The rule: a dialogue finds the account as it was made (nothing but INBOX and what the account was born with), whatever
the one before it left behind; both sides are asked for the same in the same order.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.cli.store import open_accounts
from tests.differential.client import Answer, Client
from tests.differential.normal import Facts, facts
from tests.differential.replies import parse
from tests.differential.scripts import DOMAIN, Script, octets
from tests.e2e.system import System

SAMPLES: Final = Path(__file__).parents[1] / "samples"
PASSWORD: Final = "differential"
BOX: Final = "box"

_KEPT: Final = {
    b"uidvalidity": re.compile(rb"UIDVALIDITY (\d+)"),
    b"highest": re.compile(rb"HIGHESTMODSEQ (\d+)"),
    b"modseq": re.compile(rb"[( ]MODSEQ \((\d+)\)"),
}


@dataclass(slots=True)
class Side:
    """One server: a name for people, where its IMAP is, and what its accounts were born with."""

    name: str
    port: int
    born: dict[str, tuple[set[bytes], set[bytes]]] = field(default_factory=dict)

    @contextmanager
    def client(self, login: str) -> Iterator[Client]:
        """A connection, logged in."""
        with Client(self.port) as client:
            answer = client.command(f"LOGIN {login} {PASSWORD}".encode())
            assert answer.tagged.startswith(b"OK"), answer
            yield client

    def clean(self, client: Client, login: str) -> None:
        """Takes away what another dialogue left, INBOX's messages among it."""
        asked = client.pipelined([b'LIST "" *', b'LSUB "" *', b"STATUS INBOX (MESSAGES)"])
        mailboxes, subscribed = (_names(answer) for answer in asked[:2])
        born = self.born.setdefault(login, (mailboxes, subscribed))
        commands = [b"UNSUBSCRIBE " + _literal(name) for name in sorted(subscribed - born[1])]
        commands += [b"SUBSCRIBE " + _literal(name) for name in sorted(born[1] - subscribed)]
        commands += [b"DELETE " + _literal(name) for name in sorted(mailboxes - born[0], reverse=True)]
        if b"* STATUS INBOX (MESSAGES 0)" not in asked[2].untagged:
            commands += [b"SELECT INBOX", rb"STORE 1:* +FLAGS.SILENT (\Deleted)", b"CLOSE"]
        client.pipelined(commands)


def make_accounts(system: System, logins: set[str]) -> None:
    """The accounts of all dialogues, at once: the command line would take half a second for each."""

    async def make() -> None:
        token = system.home / "keys" / "token"
        async with open_accounts(system.grpc_target, token) as accounts:
            await accounts.add_domain(DOMAIN)
            await asyncio.gather(*(accounts.add_account(login, PASSWORD.encode()) for login in logins))

    asyncio.run(make())


def letter(number: int) -> bytes:
    """One of the letters of `given n messages`."""
    return (
        b"From: Bob %d <bob%d@example.org>\r\nTo: alice@example.com\r\nSubject: message %d\r\n"
        b"Date: Sat, %d Feb 2003 04:05:06 +0100\r\nMessage-ID: <m%d@example.org>\r\n\r\nThis is body %d.\r\n"
        % (number, number, number, number, number, number)
    )


def prepare(client: Client, givens: tuple[str, ...]) -> None:
    """Makes what the dialogue is given."""
    letters: list[bytes] = []
    for given in givens:
        words = given.split()
        if given == "alone":
            continue
        if words[0].isdigit():
            letters += map(letter, range(1, int(words[0]) + 1))
        elif words[0].endswith(".eml"):
            letters.append((SAMPLES / words[0]).read_bytes())
        else:
            raise ValueError(f"nobody knows how to give {given}")
    commands = [b"CREATE " + BOX.encode()]
    for number, each in enumerate(letters, 1):
        date = b'"%02d-Feb-2003 04:05:06 +0100"' % (number % 28 + 1)
        commands.append(b"APPEND %b %b {%d+}\r\n%b" % (BOX.encode(), date, len(each), each))
    answers = client.pipelined([*commands, b"SELECT " + BOX.encode()])
    assert all(each.tagged.startswith(b"OK") for each in answers), answers


def play(side: Side, script: Script, *, is_pipelined: bool = False) -> list[Facts]:
    """What the server says to each step."""
    login = script.login
    said = {"login": login.encode(), "password": PASSWORD.encode()}
    with ExitStack() as stack:
        if "fresh" in script.givens:
            client = stack.enter_context(Client(side.port))
        else:
            client = stack.enter_context(side.client(login))
            side.clean(client, login)
            if set(script.givens) - {"alone"}:
                prepare(client, script.givens)
        if is_pipelined:
            answers = client.pipelined([octets(step.text, said) for step in script.steps])
            return [facts(answer) for answer in answers]
        clients = {"C": client}
        last = "C"
        found = []
        for step in script.steps:
            if step.verb == "keep":
                said[step.text] = said["highest"]
                continue
            if step.verb.isupper() and step.verb not in clients:
                clients[step.verb] = stack.enter_context(side.client(login))
            text = step.text
            if step.verb == "wait":
                last, _, text = text.partition(" ")
            last = step.verb if step.verb.isupper() else last
            answer = _step(clients[last], step.verb, octets(text, said))
            _remember(answer, said)
            found.append(facts(answer))
        return found


def _step(client: Client, verb: str, text: bytes) -> Answer:
    match verb:
        case "+":
            return client.go_on(text)
        case "raw":
            return client.raw(text)
        case "wait":
            return client.wait_for(text)
        case _:
            return client.command(text)


def _remember(answer: Answer, said: dict[str, bytes]) -> None:
    for name, pattern in _KEPT.items():
        for reply in (*answer.untagged, answer.tagged):
            if kept := pattern.search(reply):
                said[name.decode()] = kept[1]


def _names(answer: Answer) -> set[bytes]:
    """The mailboxes of LIST or LSUB."""
    names = (parse(reply)[4] for reply in answer.untagged)
    return {name if isinstance(name, bytes) else str(name).encode() for name in names}


def _literal(name: bytes) -> bytes:
    return b"{%d+}\r\n%b" % (len(name), name)
