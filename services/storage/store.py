"""The port's parts put together over one database. The rule: nothing here decides; it only says what needs what."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from services.mail.store import Store
from services.storage.accounts.store import PostgresAccounts
from services.storage.aliases.store import PostgresAliases
from services.storage.bodies import Bodies
from services.storage.changes.store import PostgresChanges
from services.storage.credentials.apop import Apop
from services.storage.credentials.logins import Logins
from services.storage.credentials.passwords import Passwords
from services.storage.credentials.store import PostgresCredentials
from services.storage.credentials.tokens import Tokens, TokenSettings
from services.storage.deliveries.store import PostgresDeliveries
from services.storage.feed import Feed
from services.storage.gather import Gatherer, GatherSettings
from services.storage.imports.store import PostgresImports
from services.storage.mailboxes.store import PostgresMailboxes
from services.storage.messages.keywords import Keywords
from services.storage.messages.store import PostgresMessages
from services.storage.search.indexer import Indexer
from services.storage.search.store import PostgresSearch
from services.storage.sessions.store import PostgresSessions
from services.storage.sweep.sweeper import Sweeper, SweepSettings
from services.storage.traces.recorder import Recorder
from services.storage.traces.store import PostgresTraces
from services.storage.transaction import Counts, Database, PoolSettings
from services.storage.verify.recount import PostgresUpkeep


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How a store uses its database.

    message_octets: the largest message. index_seconds: see Indexer. apop_key: what seals APOP's secrets; None is off.
    tokens: whose are taken, None where nobody's are.
    masters: logins that may act for any account.
    """

    pool: PoolSettings = field(default_factory=PoolSettings)
    gather: GatherSettings = field(default_factory=GatherSettings)
    sweep: SweepSettings = field(default_factory=SweepSettings)
    message_octets: int = 100 * 1024 * 1024
    index_seconds: float = 2.0
    apop_key: bytes | None = field(default=None, repr=False)
    tokens: TokenSettings | None = None
    masters: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PostgresStore(Store):
    """The port on PostgreSQL. counts: statements sent so far. database, sweeper, indexer: for verify, and for tests."""

    counts: Counts
    database: Database
    gatherer: Gatherer
    sweeper: Sweeper
    indexer: Indexer


@asynccontextmanager
async def open_store(
    database_url: str, direct_url: str = "", settings: StoreSettings = StoreSettings()
) -> AsyncIterator[PostgresStore]:
    """A store that lives as long as the context; what was taken is committed before it ends.

    direct_url: the same database without a pooler between. Raises StoreUnavailable.
    """
    direct_url = direct_url or database_url
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(database_url, settings.pool))
        feed = await stack.enter_async_context(Feed(database, direct_url))
        sweeper = await stack.enter_async_context(Sweeper(database, direct_url, settings.sweep))
        gatherer = Gatherer(database, settings.gather)
        indexer = Indexer(database, gatherer.letters_at, settings.index_seconds)
        await stack.enter_async_context(indexer)
        recorder = await stack.enter_async_context(Recorder(database, gatherer.letters_at))
        stack.push_async_callback(gatherer.close)
        passwords = Passwords()
        stack.callback(passwords.close)
        tokens = Tokens(settings.tokens) if settings.tokens else None
        logins = Logins(database, passwords, Apop(settings.apop_key), tokens, settings.masters)
        bodies = Bodies(database, settings.message_octets)
        keywords = Keywords(database)
        yield PostgresStore(
            accounts=PostgresAccounts(database, logins),
            mailboxes=PostgresMailboxes(database),
            messages=PostgresMessages(database, gatherer, bodies, keywords),
            search=PostgresSearch(database, indexer, max(1, settings.pool.size // 2)),
            deliveries=PostgresDeliveries(database, gatherer, bodies, keywords, recorder),
            imports=PostgresImports(database, bodies, keywords),
            changes=PostgresChanges(database, feed),
            sessions=PostgresSessions(database),
            traces=PostgresTraces(database, recorder),
            upkeep=PostgresUpkeep(database),
            aliases=PostgresAliases(database),
            credentials=PostgresCredentials(database, logins),
            counts=database.counts,
            database=database,
            gatherer=gatherer,
            sweeper=sweeper,
            indexer=indexer,
        )
