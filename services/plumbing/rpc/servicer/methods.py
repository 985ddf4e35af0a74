"""The rpcs of a store by name, and how gRPC calls them.

The descriptors of restante.v1 are the table: an rpc `GetUsage` is the servicer's method `get_usage`. The rule: an rpc
without a method stops the start; a method answers the same whether its call came alone or on an exchange.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from restante.v1 import (
    accounts_pb2,
    aliases_pb2,
    changes_pb2,
    credentials_pb2,
    deliveries_pb2,
    exchange_pb2,
    imports_pb2,
    mailboxes_pb2,
    messages_pb2,
    search_pb2,
    sessions_pb2,
    traces_pb2,
    upkeep_pb2,
)

from services.mail.store import Store
from services.plumbing.rpc.errors import NotTaken, status_of
from services.plumbing.rpc.servicer.accounts import AccountsServicer
from services.plumbing.rpc.servicer.aliases import AliasesServicer
from services.plumbing.rpc.servicer.changes import ChangesServicer
from services.plumbing.rpc.servicer.credentials import CredentialsServicer
from services.plumbing.rpc.servicer.deliveries import DeliveriesServicer
from services.plumbing.rpc.servicer.drain import Drain
from services.plumbing.rpc.servicer.imports import ImportsServicer
from services.plumbing.rpc.servicer.mailboxes import MailboxesServicer
from services.plumbing.rpc.servicer.messages import MessagesServicer
from services.plumbing.rpc.servicer.search import SearchServicer
from services.plumbing.rpc.servicer.sessions import SessionsServicer
from services.plumbing.rpc.servicer.traces import TracesServicer
from services.plumbing.rpc.servicer.upkeep import UpkeepServicer
from services.plumbing.rpc.servicer.uploads import discard

# Generic for the type checker only, hence the quotes.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Bidirectional: TypeAlias = "Callable[[AsyncIterator[Any], Context], Awaitable[None]]"

# Streams that whoever asked can take up where they ended, elsewhere: a drain does not wait for their end.
RESUMABLE: Final = frozenset({"fetch", "read", "search", "verify"})
# Streams of both directions, which have a servicer of their own.
_BIDIRECTIONAL: Final = frozenset({"exchange", "watch"})


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc. call: what answers it; inline: what answers it on an exchange, where that takes another request."""

    name: str
    descriptor: MethodDescriptor
    call: Callable[[Any], Any]
    inline: Callable[[Any], Any]

    @property
    def answers_in_parts(self) -> bool:
        """`call` is an async generator."""
        return self.descriptor.server_streaming


def snake(name: str) -> str:
    """GetUsage as get_usage."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def servicers(store: Store) -> list[tuple[ServiceDescriptor, object]]:
    """Each service with what answers it."""
    return [
        (accounts_pb2.DESCRIPTOR.services_by_name["AccountsService"], AccountsServicer(store.accounts)),
        (mailboxes_pb2.DESCRIPTOR.services_by_name["MailboxesService"], MailboxesServicer(store.mailboxes)),
        (messages_pb2.DESCRIPTOR.services_by_name["MessagesService"], MessagesServicer(store.messages)),
        (search_pb2.DESCRIPTOR.services_by_name["SearchService"], SearchServicer(store.search)),
        (
            deliveries_pb2.DESCRIPTOR.services_by_name["DeliveriesService"],
            DeliveriesServicer(store.deliveries),
        ),
        (imports_pb2.DESCRIPTOR.services_by_name["ImportsService"], ImportsServicer(store.imports)),
        (changes_pb2.DESCRIPTOR.services_by_name["ChangesService"], ChangesServicer(store.changes)),
        (sessions_pb2.DESCRIPTOR.services_by_name["SessionsService"], SessionsServicer(store.sessions)),
        (traces_pb2.DESCRIPTOR.services_by_name["TracesService"], TracesServicer(store.traces)),
        (upkeep_pb2.DESCRIPTOR.services_by_name["UpkeepService"], UpkeepServicer(store.upkeep)),
        (aliases_pb2.DESCRIPTOR.services_by_name["AliasesService"], AliasesServicer(store.aliases)),
        (
            credentials_pb2.DESCRIPTOR.services_by_name["CredentialsService"],
            CredentialsServicer(store.credentials),
        ),
    ]


def service_names() -> list[str]:
    """Full names, for health and reflection."""
    modules = (
        accounts_pb2,
        mailboxes_pb2,
        messages_pb2,
        deliveries_pb2,
        search_pb2,
        imports_pb2,
        changes_pb2,
        sessions_pb2,
        traces_pb2,
        upkeep_pb2,
        aliases_pb2,
        credentials_pb2,
        exchange_pb2,
    )
    return [
        service.full_name for module in modules for service in module.DESCRIPTOR.services_by_name.values()
    ]


def methods(store: Store) -> dict[str, Method]:
    """Every rpc but the bidirectional ones, by name."""
    found: dict[str, Method] = {}
    for service, servicer in servicers(store):
        for descriptor in service.methods:
            name = snake(descriptor.name)
            if name not in _BIDIRECTIONAL:
                call = getattr(servicer, name)
                found[name] = Method(name, descriptor, call, getattr(servicer, f"{name}_inline", call))
    return found


def encoded(answer: Message | bytes) -> bytes:
    """An answer's octets: fetch and read write theirs by hand."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


def handler(method: Method, drain: Drain) -> Handler:
    """How gRPC calls a method."""
    deserializer = GetMessageClass(method.descriptor.input_type).FromString
    if method.descriptor.client_streaming:
        return grpc.stream_unary_rpc_method_handler(
            cast("Any", one_answer(method.call, drain, begins_in_drain=True)), deserializer, encoded
        )
    if method.descriptor.server_streaming:
        return grpc.unary_stream_rpc_method_handler(
            cast("Any", many_answers(method, drain)), deserializer, encoded
        )
    return grpc.unary_unary_rpc_method_handler(
        cast("Any", one_answer(method.call, drain)), deserializer, encoded
    )


def one_answer(
    call: Callable[[Any], Awaitable[Message]], drain: Drain, begins_in_drain: bool = False
) -> Callable[[Any, Context], Awaitable[Any]]:
    """A call with one answer: its errors become a status.

    begins_in_drain: an upload under way when its sender is told of the drain could not be sent again elsewhere.
    """

    async def answer(request: Any, context: Context) -> Any:
        try:
            with drain.rest_of_work() if begins_in_drain else drain.work():
                return await call(request)
        except Exception as error:  # noqa: BLE001 - status_of logs it
            if isinstance(request, AsyncIterator):
                await discard(request)
            return await refuse(context, error)

    return answer


def many_answers(method: Method, drain: Drain) -> Callable[[Any, Context], Awaitable[None]]:
    """A call that answers in parts: each is written when the one before has left."""
    stops_at_drain = method.name in RESUMABLE

    async def answer(request: Any, context: Context) -> None:
        try:
            with drain.work():
                parts = cast("AsyncGenerator[Message | bytes, None]", method.call(request))
                async with aclosing(parts):
                    async for part in parts:
                        if stops_at_drain and drain.is_draining:
                            raise NotTaken
                        await context.write(part)
        except Exception as error:  # noqa: BLE001 - status_of logs it
            await refuse(context, error)

    return answer


async def refuse(context: Context, error: Exception) -> Any:
    """Ends a call with the status of an error; nobody is told where the caller has gone while it was written to."""
    if isinstance(error, grpc.aio.InternalError):
        return
    code, detail, trailers = status_of(error)
    await context.abort(code, detail, trailers)


def generic_handlers(
    table: Mapping[str, Method],
    bidirectional: Mapping[str, Bidirectional],
    drain: Drain,
) -> list[grpc.GenericRpcHandler]:
    """All services, ready for a server. bidirectional: `watch` and `exchange`, which read and write by themselves."""
    services: dict[str, dict[str, Handler]] = {}
    for method in table.values():
        service = method.descriptor.containing_service.full_name
        services.setdefault(service, {})[method.descriptor.name] = handler(method, drain)
    services["restante.v1.ChangesService"]["Watch"] = grpc.stream_stream_rpc_method_handler(
        cast("Any", bidirectional["watch"]),
        changes_pb2.WatchRequest.FromString,
        changes_pb2.WatchResponse.SerializeToString,
    )
    # An exchange writes octets that are messages already.
    services["restante.v1.ExchangeService"] = {
        "Exchange": grpc.stream_stream_rpc_method_handler(
            cast("Any", bidirectional["exchange"]), exchange_pb2.ExchangeRequest.FromString, None
        )
    }
    return [grpc.method_handlers_generic_handler(name, handlers) for name, handlers in services.items()]
