"""Logs: one JSON object a line on standard output, by structlog and by the libraries' logging alike."""

import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

# The link in a mail that opens an account; its last part must be in no log.
RESET_LINK = "/accounts/password/reset/key/"
_SECRET = re.compile(rf"({RESET_LINK})[^/\s\"']+")

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configuration(level: str) -> dict[str, Any]:
    """Set structlog up and give the LOGGING setting that makes the libraries' lines look the same."""
    number = logging.getLevelNamesMapping().get(level, logging.INFO)
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_reset_links,
    ]
    # Straight to standard output: the way through the logging module costs a request several times as much.
    structlog.configure(
        processors=[*common, structlog.processors.JSONRenderer(serializer=_bytes)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(),
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*common, structlog.stdlib.add_logger_name],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(serializer=_text),
                ],
            }
        },
        "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
        "root": {"handlers": ["stdout"], "level": logging.getLevelName(number)},
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            # A refused request is in our own line already; what is left are the tracebacks.
            "django.request": {"level": "ERROR"},
            "django.server": {"handlers": [], "propagate": True},
            "httpx2": {"level": "WARNING"},  # else a line for each request that we send
        },
    }


def without_reset_links(logger: object, method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor that strikes out what would open an account."""
    for name in ("path", "event", "exception"):
        text = line.get(name)
        if isinstance(text, str) and RESET_LINK in text:
            line[name] = _SECRET.sub(r"\1...", text)
    return line


def _bytes(line: Mapping[str, object], **_: object) -> bytes:
    return orjson.dumps(line, default=str)


def _text(line: Mapping[str, object], **_: object) -> str:
    return orjson.dumps(line, default=str).decode()
