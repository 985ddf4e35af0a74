"""Every dialogue beside this file, against a session alone and over a real socket; the store is in memory."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from services.imap.door import Door
from tests.fakes.memory import MemoryStore
from tests.transcripts.imap import dialogues
from tests.transcripts.imap.dialogues import Client, Dialogue

FILES = sorted(Path(__file__).parent.glob("*.txt"))
DIALOGUES = [(path.stem, dialogue) for path in FILES for dialogue in dialogues.read(path)]
Way = Callable[[Door], AbstractAsyncContextManager[Client]]


@pytest.fixture
async def store() -> MemoryStore:
    """A store of its own for each dialogue."""
    return MemoryStore()


@pytest.mark.parametrize("way", [dialogues.in_memory, dialogues.over_socket], ids=["session", "socket"])
@pytest.mark.parametrize(
    "dialogue", [each for _, each in DIALOGUES], ids=[f"{stem}: {each.name}" for stem, each in DIALOGUES]
)
async def test_the_dialogue_goes_as_written(dialogue: Dialogue, way: Way, store: MemoryStore) -> None:
    async with dialogues.door(store) as door, way(door) as client:
        await dialogues.play(dialogue, store, client)
