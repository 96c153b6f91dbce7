"""Logs: one JSON object a line, with the request's ids in it and no token in it."""

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hutong.adapters.identity.tokens import KINDS

_TOKEN = re.compile(rf"ht_({'|'.join(KINDS)})_[0-9A-Za-z_]+")
_NAMES = re.compile(r"(?i)^(authorization|password|secret|secrets|token|api_key|cookie)$")
_REDACTED = "[redacted]"
_stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)


def redact(value: object) -> object:
    """Return the value without anything that looks like a token of ours, at any depth."""
    if isinstance(value, str):
        return _TOKEN.sub(lambda found: f"ht_{found[1]}_{_REDACTED}", value)
    if isinstance(value, bytes):
        return redact(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return {
            str(key): _REDACTED if _NAMES.match(str(key)) else redact(each) for key, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each) for each in value]
    return value


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: _REDACTED if _NAMES.match(str(key)) else redact(value) for key, value in dict(event).items()}


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Lines:
    """Writes what is said again and again, such as a line a request, at a sixth of a log call's CPU.

    The lines are as others of INFO are, but only texts that stand directly in an event are redacted.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def write(self, event: str, **told: str | float) -> None:
        """Write a line, if lines of INFO are written at all."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        for key, value in told.items():
            if isinstance(value, str) and "ht_" in value:
                told[key] = str(redact(value))
        whole: EventDict = {**told, "level": "info", "logger": self._logger.name, "event": event}
        line = _to_json(self._logger, "info", _stamp(self._logger, "info", whole)) + "\n"
        for handler in self._logger.root.handlers:
            if isinstance(handler, logging.StreamHandler):
                # As with a log call: what cannot be told, on a full disk say, must not break a request.
                with suppress(OSError, ValueError), handler.lock or nullcontext():
                    handler.stream.write(line)
                    handler.flush()


def configure_logs(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send our logs, and those of the libraries, to `stream` (stderr) as JSON lines from `level` on."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _stamp,
    ]
    render: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _redact_event,
        _to_json,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=render, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True  # the edge writes a line for each request
    logging.getLogger("httpx2").setLevel(max(logging.WARNING, root.level))  # else a line a poll
