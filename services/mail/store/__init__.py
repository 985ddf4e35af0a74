"""The store's port: what every door and program may ask of it, and the values that travel.

Three things implement it: `services.storage` (PostgreSQL, the truth), `services.plumbing.rpc.client` (the same over the
network) and `tests.fakes.memory`. One contract suite runs against all three. The rule: nothing here knows which it is.
"""

from dataclasses import dataclass

from services.mail.store.accounts import Accounts
from services.mail.store.aliases import Aliases
from services.mail.store.changes import Changes
from services.mail.store.credentials import Credentials
from services.mail.store.deliveries import Deliveries
from services.mail.store.imports import Imports
from services.mail.store.mailboxes import Mailboxes
from services.mail.store.messages import Messages
from services.mail.store.search import Search
from services.mail.store.sessions import Sessions
from services.mail.store.traces import Traces
from services.mail.store.upkeep import Upkeep


@dataclass(frozen=True, slots=True)
class Store:
    """The port's parts in one place."""

    accounts: Accounts
    mailboxes: Mailboxes
    messages: Messages
    search: Search
    deliveries: Deliveries
    imports: Imports
    changes: Changes
    sessions: Sessions
    traces: Traces
    upkeep: Upkeep
    aliases: Aliases
    credentials: Credentials
