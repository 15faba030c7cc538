"""Logging: facts as fields, on standard error, so that standard output stays what a command answers.

What libraries log goes the same way, in the same form. A line bears the request and the trace within which it was
said. Passwords in addresses and our own keys show as stars, wherever they stand.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

_SECRETS = (
    (re.compile(r"(://[^\s:/?#@]*):[^\s@]*@"), r"\1:***@"),
    (re.compile(r"\bwt_[A-Za-z0-9_-]{16,}"), "wt_***"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{8,}"), "whsec_***"),
    (re.compile(r"\bsk-[A-Za-z0-9_-]{16,}"), "sk-***"),
    (re.compile(r"(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(?i)([?&](?:password|sslpassword|token|api_key)=)[^&\s]*"), r"\1***"),
)


class _ToStderr(logging.Handler):
    """To whatever standard error is when a line is said."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def configure(form: str = "console", *, verbose: bool = False) -> None:
    """`form` is console or json; without `verbose` only warnings and worse are shown."""
    last: Any = structlog.processors.JSONRenderer(default=str)
    if form == "console":
        plain = structlog.dev.plain_traceback
        last = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    tail = [structlog.processors.format_exc_info, masked, last]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        traced,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    drop = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    whose: list[Any] = [structlog.stdlib.add_logger_name, structlog.stdlib.PositionalArgumentsFormatter()]
    handler = _ToStderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared + whose, processors=[drop, *tail])
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _ToStderr)]:
        root.removeHandler(old)
    root.addHandler(handler)
    # What it says of each job at INFO, we say ourselves.
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)


def traced(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The trace, where there is one."""
    found = trace.get_current_span().get_span_context()
    if found.is_valid:
        event["trace"] = format(found.trace_id, "032x")
    return event


def masked(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Every text of a line without what opens something."""
    return {key: _without(value) for key, value in event.items()}


def _without(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, stars in _SECRETS:
            value = pattern.sub(stars, value)
        return value
    if isinstance(value, dict):
        return {key: _without(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without(one) for one in value]
    return value
