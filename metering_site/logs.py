"""Logs: one JSON object a line on standard output, by structlog and by the libraries' logging alike."""

import logging
import random
import re
from collections.abc import Mapping
from typing import Any

import orjson
import structlog
from django.conf import settings

# What must be in no log, wherever a line has it from: an address, a link in a mail that opens an account or stops
# mails, a credential of ours and the key of a webhook. Looked for where the first mark is found, which is quick.
_STRUCK: tuple[tuple[bytes, re.Pattern[bytes], bytes], ...] = (
    (b"@", re.compile(rb"[^\s@\"'\\<>()=,;:/]+@[^\s@\"'\\<>()=,;:/]+"), b"[address]"),
    # The same in an address of a page, once more encoded: "/?login=a%40b.example".
    (b"%40", re.compile(rb"[^\s@\"'\\<>()=,;:/?&]+%40[^\s@\"'\\<>()=,;:/?&]+"), b"[address]"),
    (b"/alerts/stop/", re.compile(rb"(/alerts/stop/)[^/\s\"'\\]+"), rb"\1..."),
    (b"/reset/key/", re.compile(rb"(/accounts/password/reset/key/)[^/\s\"'\\]+"), rb"\1..."),
    (b"mk_", re.compile(rb"(mk_[0-9a-f]{16}_)[A-Za-z0-9_-]+"), rb"\1..."),
    (b"ati_", re.compile(rb"(ati_[0-9a-f]{16}_)[A-Za-z0-9_-]+"), rb"\1..."),
    (b"whsec_", re.compile(rb"whsec_[A-Za-z0-9+/=_-]+"), b"whsec_..."),
)

_PERMIT = "OK"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configuration(level: str) -> dict[str, Any]:
    """Set structlog up and give the LOGGING setting that makes the libraries' lines look the same."""
    number = logging.getLevelNamesMapping().get(level, logging.INFO)
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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


def struck(raw: bytes) -> bytes:
    """A text without what must be in no log."""
    for mark, form, instead in _STRUCK:
        if mark in raw:
            raw = form.sub(instead, raw)
    return raw


def is_told(code: str | None) -> bool:
    """Whether a request is to have its line: of permits LOG_PERMITS_SHARE have, of all else all."""
    share: float = settings.LOG_PERMITS_SHARE
    return code != _PERMIT or share >= 1 or random.random() < share  # noqa: S311 - a sample


def _bytes(line: Mapping[str, object], **_: object) -> bytes:
    return struck(orjson.dumps(line, default=str))


def _text(line: Mapping[str, object], **_: object) -> str:
    return _bytes(line).decode()
