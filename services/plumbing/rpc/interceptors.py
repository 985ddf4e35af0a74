"""What stands before every rpc of a server: who calls, until when, and a count of what passes.

The rule: health is answered to everybody, since probes show no token; nothing else is.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

import grpc

from services.mail.errors import AuthenticationRequired, InvalidArgument
from services.plumbing import metrics
from services.plumbing.rpc.credentials import Token
from services.plumbing.rpc.errors import status_of

# Generic for the type checker only, hence the quotes.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"
Behaviour = Callable[[Any, Any], Awaitable[Any]]

_HEALTH: Final = "/grpc.health.v1.Health/"


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Refuses whoever does not show the token."""

    def __init__(self, token: Token) -> None:
        self._token = token

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler | None":
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_HEALTH):
            return handler
        if self._token.is_shown(handler_call_details.invocation_metadata or ()):
            return handler
        return refusing(handler, AuthenticationRequired("the token is missing or wrong"))


class DeadlineInterceptor(grpc.aio.ServerInterceptor):
    """Refuses a unary call without a deadline: nobody would end it."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler | None":
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming or handler.response_streaming:
            return handler
        behaviour = cast("Behaviour", handler.unary_unary)

        async def answer(request: Any, context: Context) -> Any:
            if context.time_remaining() is None:
                code, detail, trailers = status_of(InvalidArgument("a unary call needs a deadline"))
                await context.abort(code, detail, trailers)
            return await behaviour(request, context)

        return grpc.unary_unary_rpc_method_handler(
            cast("Any", answer), handler.request_deserializer, handler.response_serializer
        )


class CountingInterceptor(grpc.aio.ServerInterceptor):
    """Counts messages where they become octets and come from octets: of every rpc, at one place."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """See grpc.aio.ServerInterceptor."""
        handler: Any = await continuation(handler_call_details)
        if handler is not None:
            method = handler_call_details.method.rpartition("/")[2]
            handler = handler._replace(
                request_deserializer=counting(handler.request_deserializer, method, "in"),
                response_serializer=counting(handler.response_serializer, method, "out"),
            )
        return cast("Handler", handler)


def counting(convert: Callable[[Any], Any] | None, method: str, way: str) -> Callable[[Any], Any]:
    """The same conversion, counted. None converts nothing."""
    count = metrics.rpc_messages.labels(method=method, way=way).inc

    def convert_and_count(message: Any) -> Any:
        count()
        return message if convert is None else convert(message)

    return convert_and_count


def refusing(handler: Handler, error: Exception) -> Handler:
    """A handler of the same shape that only refuses."""
    code, detail, trailers = status_of(error)

    async def refuse(_request: Any, context: Context) -> None:
        await context.abort(code, detail, trailers)

    makers: dict[tuple[bool, bool], Any] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    maker = makers[handler.request_streaming, handler.response_streaming]
    return cast("Handler", maker(refuse, handler.request_deserializer, handler.response_serializer))
