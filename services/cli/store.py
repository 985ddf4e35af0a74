"""How the commands reach storage that runs: its address, the token, and what to say when nobody answers.

The rule: a command asks over gRPC like any other program; it never opens the database.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from services.cli.up.home import Home
from services.mail.errors import StoreUnavailable
from services.mail.store import Store
from services.mail.store.accounts import Accounts
from services.plumbing.failures import CannotStart
from services.plumbing.settings import SharedSettings

T = TypeVar("T")

# A person waits: shorter than what a door gives storage to come back.
FIND_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0


class CliSettings(SharedSettings):
    """The commands' own settings: none but the shared ones."""

    process: ClassVar[str] = "cli"


def ask(question: Callable[[Accounts], Awaitable[T]]) -> T:
    """Asks about accounts. Raises as `ask_store` does."""
    return ask_store(lambda store: question(store.accounts))


def ask_store(question: Callable[[Store], Awaitable[T]], patience: float = READ_SECONDS) -> T:
    """Asks the storage that runs. Raises CannotStart if none answers, and the refusals of what was asked.

    patience: seconds for each answer.
    """
    settings = CliSettings.read()
    record = Home(settings.home).read_record()
    targets = (
        settings.storage
        if "storage" in settings.model_fields_set
        else record.get("storage", settings.storage)
    )
    if not record and is_missing(settings.token_file) and settings.rpc_certificate is None:
        # Without a secret nobody can be asked, and here the first start, which makes one, has not been.
        raise CannotStart(f"nothing answers at {targets}: start it with make run")
    return asyncio.run(_ask(targets, settings.token_file, question, patience))


def is_missing(path: Path) -> bool:
    """Whether a file is not there; one that is somebody else's alone may be."""
    try:
        path.stat()
    except OSError as error:
        return not isinstance(error, PermissionError)
    return False


async def _ask(
    targets: str, token_file: Path, question: Callable[[Store], Awaitable[T]], patience: float
) -> T:
    from services.plumbing.rpc.client import copies

    try:
        async with open_store(targets, token_file, patience) as store:
            return await question(store)
    except StoreUnavailable as refusal:
        if refusal.text == copies.NOT_REACHED:
            raise CannotStart(f"nothing answers at {targets}: start it with make run") from None
        raise CannotStart(f"no answer from {targets}: {refusal.text}") from None


@asynccontextmanager
async def open_store(targets: str, token_file: Path, patience: float = READ_SECONDS) -> AsyncIterator[Store]:
    """The storage at `targets`. Raises CannotStart where storage has a bug."""
    from services.plumbing.rpc import client
    from services.plumbing.rpc.errors import StorageFailed

    settings = CliSettings.read().model_copy(update={"storage": targets, "token_file": token_file})
    try:
        async with client.connect(settings, client.Patience(read=patience, find=FIND_SECONDS)) as store:
            yield store
    except StorageFailed:
        log = Home(settings.home).logs / "storage.log"
        raise CannotStart(f"storage failed at this, which is a fault of its own: {log} says why") from None


@asynccontextmanager
async def open_accounts(targets: str, token_file: Path) -> AsyncIterator[Accounts]:
    """The accounts of the storage at `targets`. Raises as `open_store` does."""
    async with open_store(targets, token_file) as store:
        yield store.accounts
