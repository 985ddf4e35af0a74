"""From settings to a store.

The rule: nothing waits here; the first call waits for the first copy, within its own deadline.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol

import grpc

from services.mail.store import Store
from services.plumbing.rpc.client.accounts import RemoteAccounts
from services.plumbing.rpc.client.aliases import RemoteAliases
from services.plumbing.rpc.client.calls import Calls, Patience
from services.plumbing.rpc.client.changes import RemoteChanges
from services.plumbing.rpc.client.copies import RENEW_SECONDS, Copies, Open, Place
from services.plumbing.rpc.client.credentials import RemoteCredentials
from services.plumbing.rpc.client.deliveries import RemoteDeliveries
from services.plumbing.rpc.client.imports import RemoteImports
from services.plumbing.rpc.client.link import Link
from services.plumbing.rpc.client.mailboxes import RemoteMailboxes
from services.plumbing.rpc.client.messages import RemoteMessages
from services.plumbing.rpc.client.search import RemoteSearch
from services.plumbing.rpc.client.sessions import RemoteSessions
from services.plumbing.rpc.client.traces import RemoteTraces
from services.plumbing.rpc.client.upkeep import RemoteUpkeep
from services.plumbing.rpc.credentials import CertificateFiles, Secrets, Token, tls_files

MAX_MESSAGE: Final = 5 * 1024 * 1024
WINDOW: Final = 1024 * 1024
FRAME: Final = 256 * 1024
PATIENCE: Final = Patience()

OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    # As on the server, and for the same reason.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW),
    ("grpc.http2.max_frame_size", FRAME),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Copies have addresses of their own: no proxy, and no connection shared between links.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)


class ClientSettings(Secrets, Protocol):
    """What a client reads of its process's settings."""

    @property
    def storage(self) -> str: ...


@asynccontextmanager
async def connect(
    settings: ClientSettings, patience: Patience = PATIENCE, renew_seconds: float = RENEW_SECONDS
) -> AsyncIterator[Store]:
    """The store behind `settings.storage`. Raises CannotStart, SettingsWrong.

    renew_seconds: after which the stream to each copy is opened anew.
    """
    copies = Copies(settings.storage, link_maker(settings), renew_seconds)
    calls = Calls(copies, patience)
    changes = RemoteChanges(calls)
    copies.start()
    try:
        yield Store(
            accounts=RemoteAccounts(calls),
            mailboxes=RemoteMailboxes(calls),
            messages=RemoteMessages(calls),
            search=RemoteSearch(calls),
            deliveries=RemoteDeliveries(calls),
            imports=RemoteImports(calls),
            changes=changes,
            sessions=RemoteSessions(calls),
            traces=RemoteTraces(calls),
            upkeep=RemoteUpkeep(calls),
            aliases=RemoteAliases(calls),
            credentials=RemoteCredentials(calls),
        )
    finally:
        await changes.stop()
        await copies.stop()


def link_maker(settings: Secrets) -> Open:
    """How a link to a place is made. Raises CannotStart."""
    token = Token(settings)
    files = tls_files(settings)
    certificates = CertificateFiles(files) if files is not None else None

    def make(place: Place, on_free: Callable[[], None]) -> Link:
        host, address, port = place
        target = f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"
        if certificates is None:
            channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        else:
            named = (*OPTIONS, ("grpc.ssl_target_name_override", host), ("grpc.default_authority", host))
            channel = grpc.aio.secure_channel(target, certificates.for_channel(), options=named)
        return Link(channel, token.metadata, on_free)

    return make
