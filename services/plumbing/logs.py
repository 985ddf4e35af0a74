"""Logs: an event and its fields, one JSON line each, on stderr.

Rule: never a body, a password or a SASL exchange. debug is the wire, info a connection, command or delivery,
warning a peer's fault, error our bug.
"""

import json
import logging
import sys
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def get(name: str) -> FilteringBoundLogger:
    """The logger of a module: log = logs.get(__name__)."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=name.removeprefix("services.")))


def bind(**fields: str) -> None:
    """Adds fields to every line that this task logs from now on; a connection's task binds its session id."""
    structlog.contextvars.bind_contextvars(**fields)


def configure(process: str, level: str) -> None:
    """Sends our own lines and those of libraries to stderr as JSON.

    level: a key of LEVELS; lines below it are not made at all.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _name_process(process),
    ]
    structlog.configure(
        processors=[*shared, _put_event_first, structlog.processors.JSONRenderer(serializer=_render)],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _put_event_first,
                structlog.processors.JSONRenderer(serializer=_render),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.INFO))


def _name_process(process: str) -> Processor:
    def add(_logger: Any, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
        fields["process"] = process
        return fields

    return add


def _put_event_first(
    _logger: Any, _method: str, fields: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    first = {key: fields.pop(key) for key in ("timestamp", "level", "process", "event") if key in fields}
    return {**first, **fields}


def _render(fields: Any, **options: Any) -> str:
    # Octets of a peer may hold lone surrogates; ASCII escapes keep every line valid.
    return json.dumps(fields, ensure_ascii=True, **options)
