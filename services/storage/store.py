"""The whole store on one database, opened and closed as one.

The rule: what was taken is finished before anything is closed.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.mail.store import Store
from services.storage.accounts.passwords import Passwords
from services.storage.accounts.store import PostgresAccounts
from services.storage.bodies import Bodies
from services.storage.changes.store import PostgresChanges
from services.storage.deliveries.store import PostgresDeliveries
from services.storage.feed import Feed
from services.storage.gather import Gatherer, GatherSettings
from services.storage.mailboxes.store import PostgresMailboxes
from services.storage.messages.keywords import Keywords
from services.storage.messages.store import PostgresMessages
from services.storage.sessions.store import PostgresSessions
from services.storage.transaction import Database, PoolSettings

MAX_MESSAGE_OCTETS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opening:
    """How a store is opened. direct_url: without a pooler between, for LISTEN; "" is the same address."""

    direct_url: str = ""
    pool: PoolSettings = PoolSettings()
    gather: GatherSettings = GatherSettings()
    max_message_octets: int = MAX_MESSAGE_OCTETS
    compare_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The store, and what stands behind it."""

    store: Store
    database: Database
    gatherer: Gatherer
    feed: Feed


@asynccontextmanager
async def open_parts(database_url: str, opening: Opening = Opening()) -> AsyncIterator[Parts]:
    """Opens the pool and starts the feed. Raises StoreUnavailable."""
    async with Database(database_url, opening.pool) as database:
        feed = Feed(database, opening.direct_url or database_url, opening.compare_seconds)
        gatherer = Gatherer(database, opening.gather)
        bodies = Bodies(database, opening.max_message_octets)
        keywords = Keywords(database)
        passwords = Passwords()
        store = Store(
            accounts=PostgresAccounts(database, passwords),
            mailboxes=PostgresMailboxes(database),
            messages=PostgresMessages(database, gatherer, bodies, keywords),
            deliveries=PostgresDeliveries(gatherer, bodies, keywords),
            changes=PostgresChanges(database, feed),
            sessions=PostgresSessions(database),
        )
        feed.start()
        try:
            yield Parts(store, database, gatherer, feed)
        finally:
            await gatherer.close()
            await feed.stop()
            passwords.close()


@asynccontextmanager
async def open_store(database_url: str, opening: Opening = Opening()) -> AsyncIterator[Store]:
    """The port on a migrated database."""
    async with open_parts(database_url, opening) as parts:
        yield parts.store
