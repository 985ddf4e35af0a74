"""Every message of the corpus, appended to both servers, and every section of it that can be asked for.

The rule: what is asked follows from both structures, so that a part that only one server sees is asked for, too.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.differential.client import Client
from tests.differential.listed import differences
from tests.differential.normal import Facts, facts
from tests.differential.replies import Tree
from tests.differential.scripts import DOMAIN

ACCOUNT: Final = f"corpus@{DOMAIN}"
WHOLE: Final = "(RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE RFC822.HEADER)"
PIECES: Final = ("", "<0.20>", "<7.50>", "<100000.10>")
FIELDS: Final = ("HEADER.FIELDS (From Subject Content-Type)", "HEADER.FIELDS.NOT (Received Subject)")
AT_ONCE: Final = 40


def octets(path: Path) -> bytes:
    """The message with the line ends that travel."""
    return re.sub(rb"\r?\n", b"\r\n", path.read_bytes())


def append(client: Client, mailbox: str, messages: list[bytes]) -> None:
    """Puts messages into a new mailbox, and selects it."""
    commands = [f"CREATE {mailbox}".encode()]
    commands += [b"APPEND %b {%d+}\r\n%b" % (mailbox.encode(), len(each), each) for each in messages]
    for answer in client.pipelined([*commands, f"SELECT {mailbox}".encode()]):
        assert answer.tagged.startswith(b"OK"), answer


def compare(number: int, clients: tuple[Client, Client]) -> list[str]:
    """Every difference of one message, without its number."""
    wholes = [_fetch(client, number, [WHOLE]) for client in clients]
    paths: set[tuple[int, ...]] = set()
    for whole in wholes:
        structure = next(value for key, value in whole.items() if key.endswith(" BODYSTRUCTURE"))
        paths |= set(_paths(structure, ()))
    asked = sorted(_sections(paths))
    items = [f"BODY.PEEK[{section}]{piece}" for section in asked for piece in PIECES]
    commands = [f"({' '.join(items[at : at + AT_ONCE])})" for at in range(0, len(items), AT_ONCE)]
    theirs, ours = (
        {**whole, **_fetch(client, number, commands)} for whole, client in zip(wholes, clients, strict=True)
    )
    return [each.removeprefix(f"FETCH {number} ") for each in differences(theirs, ours)]


def _fetch(client: Client, number: int, commands: list[str]) -> Facts:
    """What all commands are answered; Dovecot may answer one while the next is on its way."""
    answers = client.pipelined([f"FETCH {number} {each}".encode() for each in commands])
    return {key: value for answer in answers for key, value in facts(answer).items()}


def _paths(structure: Tree, path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The numbers of every part of a body structure. RFC 3501 §6.4.5."""
    assert isinstance(structure, list)
    if isinstance(structure[0], list):
        for number, part in enumerate(each for each in structure if _is_part(each)):
            yield (*path, number + 1)
            yield from _inside(part, (*path, number + 1))
    elif not path:
        yield (1,)
        yield from _inside(structure, (1,))


def _inside(part: Tree, path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    assert isinstance(part, list)
    if isinstance(part[0], list):
        yield from _paths(part, path)
    elif len(part) > 8 and isinstance(part[8], list) and part[:1] in ([b"message"], [b"MESSAGE"]):
        inner = part[8]
        if isinstance(inner[0], list):
            yield from _paths(inner, path)
        else:
            yield (*path, 1)
            yield from _inside(inner, (*path, 1))


def _is_part(tree: Tree) -> bool:
    return (
        isinstance(tree, list)
        and bool(tree)
        and isinstance(tree[0], list | bytes)
        and len(tree) >= 2
        and (isinstance(tree[0], list) or (len(tree) >= 7 and isinstance(tree[1], bytes)))
    )


def _sections(paths: set[tuple[int, ...]]) -> set[str]:
    """Whole parts and what they are made of; the number behind the last of each, which is none."""
    found = {"", "HEADER", "TEXT", *FIELDS}
    beyond = {(*path[:-1], path[-1] + 1) for path in paths}
    for path in paths | beyond:
        dotted = ".".join(map(str, path))
        found |= {dotted, *(f"{dotted}.{text}" for text in ("MIME", "HEADER", "TEXT", *FIELDS))}
    return found
