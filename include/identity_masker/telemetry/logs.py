"""Structured logs: one JSON object a line, with the correlation id, and sensitive fields masked."""

from __future__ import annotations

import logging
import re
import sys
from typing import IO

import structlog
from structlog.typing import EventDict, WrappedLogger

SENSITIVE = re.compile(
    r"password|passwd|secret|token|authorization|api[_-]?key|mask[_-]?key|cookie|private", re.IGNORECASE
)
MASK = "***"


def configure(*, level: str, correlation_id: str, stream: IO[str], json_lines: bool) -> None:
    """Send structlog and the standard library's loggers to `stream`."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_sensitive,
    ]
    if json_lines:
        # Local variables of a traceback may hold pixels or secrets.
        tracebacks = structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        )
        render: list[structlog.typing.Processor] = [tracebacks, structlog.processors.JSONRenderer()]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in (
        "great_expectations",
        "httpx",
        "httpcore",
        "urllib3",
        "botocore",
        "aiobotocore",
        "alembic",
        "matplotlib",
        "dvc",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    if correlation_id:
        structlog.contextvars.bind_contextvars(correlation_id=correlation_id)


def configure_for_step(*, level: str, correlation_id: str, is_step: bool) -> None:
    """A step logs JSON to stdout, where its pod's or task's log is read; a person's command logs to stderr."""
    stream = sys.stdout if is_step else sys.stderr
    configure(level=level, correlation_id=correlation_id, stream=stream, json_lines=is_step or not stream.isatty())


def mask_sensitive(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of fields whose names mean a secret, at any depth."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: object) -> object:
    if SENSITIVE.search(name) and value is not None:
        return MASK
    if isinstance(value, dict):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    return value


def logger(name: str) -> structlog.stdlib.BoundLogger:
    return structlog.stdlib.get_logger(name)
