"""Real and odd messages: Dovecot and Restante tell of them alike, but for what docs/differences.md lists."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import NO_CORPUS
from tests.differential import corpus, searches
from tests.differential.client import Client
from tests.differential.conftest import Sides
from tests.differential.listed import listed
from tests.differential.sides import SAMPLES

ODD = sorted(path for path in SAMPLES.glob("*.eml") if path.stat().st_size)


@pytest.fixture
def clients(sides: Sides) -> Iterator[tuple[Client, Client]]:
    """A session of each."""
    with ExitStack() as stack:
        theirs, ours = (stack.enter_context(side.client(corpus.ACCOUNT)) for side in sides)
        yield theirs, ours


def compare(mailbox: str, files: list[Path], clients: tuple[Client, Client]) -> None:
    """Fails where a message differs otherwise than it is listed."""
    messages = [corpus.octets(path) for path in files]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda client: corpus.append(client, mailbox, messages), clients))
    names = [f"{path.parent.name}/{path.name}" for path in files]
    searched = searches.compare(names, messages, clients)
    meant, unexpected, gone = listed(), [], []
    for number, name in enumerate(names, 1):
        found = set(corpus.compare(number, clients)) | searched.get(name, set())
        unexpected += [f"{name} · {what}" for what in sorted(found - meant.get(name, set()))]
        gone += [f"{name} · {what}" for what in sorted(meant.get(name, set()) - found)]
    assert unexpected == [], "not in docs/differences.md"
    assert gone == [], "listed in docs/differences.md, and no difference any more"


def test_odd_messages(clients: tuple[Client, Client]) -> None:
    """RFC 9051 §7.5.2, §6.4.5.1, §6.4.4: envelopes, structures, every section of every part, and searches."""
    compare("samples", ODD, clients)


def test_real_messages(clients: tuple[Client, Client]) -> None:
    """The same with messages that nobody in this project wrote."""
    folder = os.environ.get(NO_CORPUS)
    if not folder:
        pytest.skip(f"{NO_CORPUS} names no folder of real messages")
    files = sorted(Path(folder).resolve(strict=True).glob("*/*.eml"))
    assert len(files) > 100
    compare("corpus", [path for path in files if path.stat().st_size], clients)
